"""The content of scene shards in numbers: counted as a shard is made, added up for the report."""

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
    """Counts of a shard, or of several.

    Attributes:
        samples: stored samples.
        persons: samples whose panoptic layer opened the person gate.
        closed: samples where the gate took human or face parts away.
        pixels: pixels by label; 255 is void.
        pictures: pictures that have a label, by label; 255 is void.
        characters: captions by their length in characters.
        words: captions by their length in words.
        captions: samples by their number of captions.
    """

    samples: int = 0
    persons: int = 0
    closed: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    pictures: Counter[int] = field(default_factory=Counter)
    characters: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    captions: Counter[int] = field(default_factory=Counter)

    def add(self, scene: Scene, captions: list[str], person: bool, closed: bool) -> None:
        """Count one sample.

        Args:
            scene: its clean scene.
            captions: its captions.
            person: whether the person gate was open.
            closed: whether the gate took parts away.
        """
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
        """Return plain values for JSON; `from_dict` reads them back."""
        values = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        return values | {
            name: {str(key): values[name][key] for key in sorted(values[name])} for name in COUNTERS
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> Statistics:
        """Read the values that `to_dict` returned.

        Args:
            values: the values.

        Returns:
            The counts.

        Raises:
            ValueError: if the values are not those of `to_dict`.
        """
        exact_keys("statistics", values, [field_.name for field_ in fields(cls)])
        counts = dict(values)
        for name in COUNTERS:
            if not isinstance(values[name], Mapping):
                kind = type(values[name]).__name__
                raise ValueError(f"statistics: {name}: found {kind}, expected counts")
            counts[name] = Counter()
            for key, count in values[name].items():
                if not (key.isascii() and key.isdecimal() and len(key) < 10):
                    found_key = f"found the key {short(key)}"
                    raise ValueError(f"statistics: {name}: {found_key}, expected a number")
                check_int(f"statistics: {name}: {key}", count, 0, MOST)
                counts[name][int(key)] += count
        for name in set(counts) - set(COUNTERS):
            check_int(f"statistics: {name}", counts[name], 0, MOST)
        return cls(**counts)


def quantile(histogram: Mapping[int, int], share: float) -> int:
    """Return a quantile of a histogram.

    Args:
        histogram: counts by value.
        share: share of all counts, 0..1.

    Returns:
        The least value that at least this share of all does not exceed; 0 for no counts.
    """
    total, seen = sum(histogram.values()), 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= share * total:
            return value
    return 0


def mean(histogram: Mapping[int, int]) -> float:
    """Return the mean of a histogram, counts by value; 0 for no counts."""
    total = sum(histogram.values())
    return sum(value * n for value, n in histogram.items()) / total if total else 0.0


def add_up(parts: Iterable[Statistics]) -> Statistics:
    """Return the sum of the counts of several shards."""
    total = Statistics()
    for part in parts:
        total += part
    return total
