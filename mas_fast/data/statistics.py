"""What is in a shard of scenes: counted when it is made, added up for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from mas_fast.scene import Scene
from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_int, exact_keys

MOST = 1 << 50
COUNTERS = ("pixels", "pictures", "characters", "words", "captions")


@dataclass
class Statistics:
    """samples: stored. persons: those whose panoptic layer opened the person gate; closed: those
    where the gate took human or face parts away. By label: `pixels`, and `pictures` that have it
    (255 is void). By their length: captions in `characters` and in `words`. `captions`: samples by
    their number of captions."""

    samples: int = 0
    persons: int = 0
    closed: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    pictures: Counter[int] = field(default_factory=Counter)
    characters: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    captions: Counter[int] = field(default_factory=Counter)

    def add(self, scene: Scene, captions: list[str], person: bool, closed: bool) -> None:
        """One sample. person, closed: what the person gate saw and did."""
        self.samples += 1
        self.persons += person
        self.closed += closed
        counts = np.bincount(scene.labels.ravel(), minlength=256)
        for label in np.flatnonzero(counts).tolist():
            self.pixels[label] += int(counts[label])
            self.pictures[label] += 1
        self.captions[len(captions)] += 1
        for caption in captions:
            self.characters[len(caption)] += 1
            self.words[len(caption.split())] += 1

    def __iadd__(self, other: Statistics) -> Statistics:
        for field_ in fields(self):
            total = getattr(self, field_.name)
            total += getattr(other, field_.name)
            setattr(self, field_.name, total)
        return self

    def to_dict(self) -> dict:
        """Plain values for JSON; `from_dict` reads them back."""
        values = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        return values | {
            name: {str(key): values[name][key] for key in sorted(values[name])} for name in COUNTERS
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> Statistics:
        """The inverse of `to_dict`. ValueError for what is none."""
        exact_keys("statistics", values, [field_.name for field_ in fields(cls)])
        found = dict(values)
        for name in COUNTERS:
            if not isinstance(values[name], Mapping):
                kind = type(values[name]).__name__
                raise ValueError(f"statistics: {name}: found {kind}, expected counts")
            found[name] = Counter()
            for key, count in values[name].items():
                if not (key.isascii() and key.isdecimal() and len(key) < 10):
                    found_key = f"found the key {short(key)}"
                    raise ValueError(f"statistics: {name}: {found_key}, expected a number")
                check_int(f"statistics: {name}: {key}", count, 0, MOST)
                found[name][int(key)] += count
        for name in set(found) - set(COUNTERS):
            check_int(f"statistics: {name}", found[name], 0, MOST)
        return cls(**found)


def quantile(histogram: Mapping[int, int], share: float) -> int:
    """The least value that at least this share of all does not exceed; 0 of nothing."""
    total, seen = sum(histogram.values()), 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= share * total:
            return value
    return 0


def mean(histogram: Mapping[int, int]) -> float:
    total = sum(histogram.values())
    return sum(value * n for value, n in histogram.items()) / total if total else 0.0


def add_up(parts: Iterable[Statistics]) -> Statistics:
    total = Statistics()
    for part in parts:
        total += part
    return total
