"""From a request to what is answered: the work of a request, done in a worker's thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from mas_fast.pipelines.base import Painter
from mas_fast.pipelines.png_tokens import Painted
from mas_fast.pipelines.stream import Event
from mas_fast.scene.png import open_image
from mas_fast.serve.pictures import encode, encode_scene, scene_of, text_of
from mas_fast.serve.schemas import Drawn, Edits, Generations, Pictures, Preview, Settings, Usage
from mas_fast.text.captions import words

OPTIONS = ("seed", "guidance", "temperature", "top_k", "top_p", "candidates", "best_of")


class Drawing:
    """One request.

    Args:
        painter: draws.
        asked: the request.
        files: of an edit, by name: "image", and perhaps "mask".

    Raises:
        ValueError: names what was found and what is allowed.
    """

    def __init__(self, painter: Painter, asked: Settings, files: dict[str, bytes] | None = None):
        self.painter, self.asked, self.files = painter, asked, files or {}
        self.caption = asked.prompt
        side = painter.img.config.resolution
        self.size = f"{side}x{side}"
        if asked.size not in ("auto", self.size):
            raise ValueError(f"size: found {asked.size!r}, expected {self.size!r} or 'auto'")
        if asked.partial_images and asked.best_of > 1:
            problem = f"found {asked.partial_images} with best_of={asked.best_of}"
            raise ValueError(f"partial_images: {problem}, expected 0: only the best is shown")
        said = [asked.prompt, asked.negative_prompt or ""]
        known = painter.words
        self.unknown_words = [
            word
            for word in dict.fromkeys(word for text in said for word in words(text))
            if known is not None and word not in known
        ]
        ids, cut = painter.bpe.encode([text for text in said if text] or [""])
        self.truncated = painter.bpe.decode(ids[cut])

    def events(self) -> Iterator[Event]:
        """The events of the drawing, which is done while they are asked for."""
        asked, given = self.asked, self.asked.model_fields_set
        options: dict[str, Any] = {n: getattr(asked, n) for n in OPTIONS if n in given}
        options |= {"num_images": asked.n, "negative": asked.negative_prompt}
        options |= {"every": self._every()}
        if asked.scene is not None:
            side = self.painter.img.config.resolution
            options["scene"] = scene_of(asked.scene, asked.scene_labels, self.painter.size, side)
        elif asked.scene_labels is not None:
            raise ValueError(
                f"scene_labels: found {asked.scene_labels!r}, expected a scene with it"
            )
        if isinstance(asked, Edits):
            if not asked.prompt:
                known = Painted.of(open_image(self.files["image"], "image"), "image")
                self.caption = "" if known is None else known.caption
            return self.painter.stream_edit(
                self.files["image"],
                region=self._region(asked),
                caption=asked.prompt or None,
                what=asked.what,
                **options,
            )
        assert isinstance(asked, Generations)
        return self.painter.stream(asked.prompt, **options)

    def whole(self) -> Iterator[Pictures]:
        """The answer without a stream, one item."""
        data = [self._drawn(event) for event in self.events() if event.final]
        yield Pictures(
            created=int(time.time()),
            data=data,
            output_format=self.asked.output_format,
            size=self.size,
            usage=self._usage(),
            seed=self.asked.seed,
            unknown_words=self.unknown_words,
            truncated=self.truncated,
        )

    def previews(self) -> Iterator[Preview]:
        """The events of a stream: of each picture at most `partial_images`, the first of them when
        its scene is whole, and the picture."""
        kind = "image_edit" if isinstance(self.asked, Edits) else "image_generation"
        shown = [0] * self.asked.n
        told: set[int] = set()
        for event in self.events():
            scene_came = event.index not in told and event.scene is not None
            due = (shown[event.index] + 1) / (self.asked.partial_images + 1)
            partial = shown[event.index] < self.asked.partial_images
            if event.final:
                yield self._preview(f"{kind}.completed", event, None)
            elif partial and (scene_came or event.share >= due) and event.image is not None:
                if event.scene is not None:
                    told.add(event.index)
                yield self._preview(f"{kind}.partial_image", event, shown[event.index])
                shown[event.index] += 1

    def _every(self) -> int:
        """Rows of tokens between two events: as many as previews need."""
        rows = [s.grid[0] for s in self.painter.streams if s.grid is not None]
        return max(1, min(rows) // 4) if self.asked.partial_images else max(rows)

    def _region(self, asked: Edits) -> Any:
        mask = self.files.get("mask")
        if (mask is None) == (asked.region is None):
            found = "neither" if mask is None else "both"
            raise ValueError(f"region: found {found} of mask and region, expected one of them")
        if mask is None:
            assert asked.region is not None
            box = asked.region.split(",")
            if not all(part.strip().removeprefix("-").isdecimal() for part in box):
                raise ValueError(f"region: found {asked.region!r}, expected such as 0,0,64,64")
            return tuple(int(part) for part in box)
        image = open_image(mask, "mask")
        if "A" not in image.getbands():
            return image
        # OpenAI's masks: what is transparent is drawn.
        return image.getchannel("A").point(lambda alpha: 255 * (alpha == 0))

    def _drawn(self, event: Event) -> Drawn:
        return Drawn(b64_json=self._file(event), scene=_scene(event))

    def _preview(self, kind: str, event: Event, number: int | None) -> Preview:
        return Preview(
            type=kind,
            b64_json=self._file(event),
            created_at=int(time.time()),
            output_format=self.asked.output_format,
            size=self.size,
            partial_image_index=number,
            usage=self._usage() if number is None else None,
            index=event.index,
            share=round(event.share, 4),
            scene=_scene(event),
            seed=self.asked.seed,
            unknown_words=self.unknown_words,
            truncated=self.truncated,
        )

    def _file(self, event: Event) -> str:
        painted = Painted(self.caption, event.tokens) if event.final else None
        assert event.image is not None  # something is drawn
        form, quality = self.asked.output_format, self.asked.output_compression
        return text_of(encode(event.image, form, quality, painted))

    def _usage(self) -> Usage:
        streams = self.painter.streams
        read = streams[0].length
        drawn = self.asked.n * (streams.length - read)
        details = {"text_tokens": read, "image_tokens": 0}
        return Usage(
            input_tokens=read,
            output_tokens=drawn,
            total_tokens=read + drawn,
            input_tokens_details=details,
        )


def _scene(event: Event) -> str | None:
    return None if event.scene is None else text_of(encode_scene(event.scene))
