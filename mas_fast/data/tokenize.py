"""Shards of scenes -> shards of tokens, through the three tokenizers of a bundle.

    tokenize("scenes", "my-bundle", "tokens", workers=2)         # `mas-fast data tokenize`
    tokens = TokenShards("tokens")                               # data.shards

One scene shard becomes one token shard. Of a picture and its scene the middle square is taken, at
the resolution of each tokenizer. A sample keeps all its captions, as strings and as tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mas_fast.bundle import BPE_FILE, load_bpe, load_vq, read_vq_config
from mas_fast.data import rejects
from mas_fast.data.shards import MANIFEST, SCENES, TOKENS, ShardFolder, read_manifest, sha256
from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.tars import TarSource
from mas_fast.data.token_shards import check_vocab, read_json, token_batch, write_tokens
from mas_fast.data.workers import Job, run_job
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.streams import Stream, Streams
from mas_fast.utils.outputs import check_apart
from mas_fast.utils.validate import check_choice, check_int

FORMATS = ("arrow", "parquet")


def tokenize(
    scenes: str | os.PathLike,
    bundle: str | os.PathLike,
    output: str | os.PathLike,
    *,
    format: str = "arrow",
    batch: int = 8,
    device: str = "cpu",
    workers: int = 1,
    ray: str | None = None,
    progress: bool = True,
) -> dict:
    """Make the folder `output` of token shards from the folder `scenes` that `prepare` made, or
    continue it, and return its manifest.

    bundle: has tokenizer.json, vq_seg and vq_img. format: "arrow" to train on (TokenShards),
    "parquet" for others. batch: pictures that a tokenizer sees at once, never of two shards;
    device: "cpu" or "cuda". The last bits of a sum may depend on both, so they are among the
    options that a run is continued with. workers, ray: as workers.run_job. ValueError for unfit
    arguments, a bundle that lacks a tokenizer, scenes without a sample, and a folder that is
    unfinished or another run's: of other scenes or tokenizers, wherever they lie.
    """
    check_choice("format", format, FORMATS)
    check_int("batch", batch, 1)
    scenes, bundle = Path(scenes), Path(bundle)
    check_apart(output, scenes)
    shards = read_manifest(scenes, SCENES)["shards"]
    if not any(shard["samples"] for shard in shards):
        raise ValueError(
            f"{scenes}: found 0 samples, expected some to tokenize: {scenes / rejects.FILE} says "
            "why there are none"
        )
    streams = streams_of(bundle)
    options = {
        "format": format,
        "scenes": _checksum(shards),
        "tokenizers": {
            name: sha256(bundle / name)
            for name in (BPE_FILE, "vq_seg.safetensors", "vq_img.safetensors")
        },
        "streams": streams.to_list(),
        "batch": batch,
        "device": device,
    }
    _check_scenes(Path(output), scenes, options["scenes"])
    folder = ShardFolder(output, TOKENS, format, options, len(shards))
    left = folder.begin()
    images = [shard["samples"] for shard in shards]
    run_job(
        Encoding(
            folder, scenes, tuple(s["sha256"] for s in shards), bundle, streams, batch, device
        ),
        left,
        workers=workers,
        ray=ray,
        done=sum(images) - sum(images[number] for number in left),
        images=sum(images),
        progress=progress,
    )
    return folder.finish()


def _check_scenes(output: Path, scenes: Path, checksum: str) -> None:
    """ValueError for a folder of tokens of other scenes, wherever they were."""
    if not any(file.name != MANIFEST for file in output.glob("*.json")):
        return
    made = read_manifest(output, TOKENS, whole=False)["options"].get("scenes")
    if made != checksum:
        raise ValueError(
            f"{output}: found tokens of other scenes than {scenes} has now: give the scenes that "
            "they were made from to go on, or another folder with --output to begin anew"
        )


def caption_counts(output: str | os.PathLike) -> tuple[int, int]:
    """(captions, those that were longer than the tokenizer takes) in a folder of token shards."""
    cars = [read_json(file) for file in Path(output).glob("*.json") if file.name != MANIFEST]
    return sum(car.get("captions", 0) for car in cars), sum(car.get("truncated", 0) for car in cars)


def _checksum(shards: list[dict]) -> str:
    """Of all that the scene shards hold."""
    return hashlib.sha256(json.dumps([shard["sha256"] for shard in shards]).encode()).hexdigest()


def streams_of(bundle: Path) -> Streams:
    """text, seg and img, as the tokenizers of a bundle give them. ValueError where one is missing,
    or cannot be stored."""
    bpe = load_bpe(bundle)
    streams = Streams(
        [
            Stream("text", bpe.length, bpe.vocab_size, pad=bpe.pad_id),
            codes_stream("seg", read_vq_config(bundle, "vq_seg")),
            codes_stream("img", read_vq_config(bundle, "vq_img")),
        ]
    )
    if read_vq_config(bundle, "vq_seg").layout is None:
        raise ValueError(f"{bundle}: vq_seg: found no layout of scenes, expected mini158 or mas159")
    for stream in streams:
        check_vocab(stream)
    return streams


def codes_stream(name: str, config: VQConfig) -> Stream:
    """The stream of a tokenizer's codes."""
    side = config.resolution // config.f
    return Stream(name, side * side, config.codes, grid=(side, side))


@dataclass(frozen=True)
class Encoding(Job):
    """See tokenize. checksums: of the scene shards."""

    folder: ShardFolder
    scenes: Path
    checksums: tuple[str, ...]
    bundle: Path
    streams: Streams
    batch: int
    device: str

    def open(self) -> Callable[[int, Callable[[int], object]], int]:
        encoder = Encoder(self.bundle, self.device)

        def make(number: int, tick: Callable[[int], object]) -> int:
            rows = _Rows()
            for samples in self._batches(number):
                rows.add(samples, encoder)
                tick(len(samples))

            def write(file: Path) -> dict:
                columns = rows.columns(self.streams)
                facts = write_tokens(file, token_batch(self.streams, **columns), self.folder.suffix)
                return facts | {"captions": rows.count, "truncated": rows.truncated}

            self.folder.commit(number, write)
            return len(rows.keys)

        return make

    def _batches(self, number: int) -> Iterator[list[Sample]]:
        """ValueError for a shard that is not as its manifest says."""
        file = self.scenes / f"{number:05}.tar"
        if (found := sha256(file)) != self.checksums[number]:
            raise ValueError(f"{file}: found sha256 {found}, expected {self.checksums[number]}")
        source = TarSource([file])
        for start in range(0, len(source), self.batch):
            items = [source[n] for n in range(start, min(start + self.batch, len(source)))]
            for item in items:
                if isinstance(item, Reject):
                    raise ValueError(f"{file}: {item.key}: {item.reason}")
            yield items


class Encoder:
    """The tokenizers of a bundle on a device."""

    def __init__(self, bundle: Path, device: str) -> None:
        import torch

        self.bpe = load_bpe(bundle)
        self.device = device
        names = ("vq_seg", "vq_img")
        self.seg, self.img = (load_vq(bundle, name, device, torch.float32) for name in names)
        self.seg.decoder = self.img.decoder = None  # more than half of the weights

    def text(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids int32 [B, length], truncated bool [B])."""
        return self.bpe.encode(captions)

    def codes(self, samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """(seg, img): int64 [B, h w], in raster order."""
        import torch

        def tensor(arrays: list[np.ndarray]) -> torch.Tensor:
            return torch.from_numpy(np.stack(arrays)).to(self.device)

        seg, img = self.seg.config, self.img.config
        squares = [sample.square(img.resolution) for sample in samples]
        pixels = tensor([square.pixels for square in squares])
        pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        if seg.resolution != img.resolution:
            squares = [sample.square(seg.resolution) for sample in samples]
        scenes = [square.scene.to(seg.layout) for square in squares]
        scenes = tensor([s.labels for s in scenes]), tensor([s.edges for s in scenes])
        return tuple(
            model.encode(x).flatten(1).cpu().numpy()
            for model, x in ((self.seg, scenes), (self.img, pixels))
        )


class _Rows:
    """The columns of one shard, as they grow."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.captions: list[list[str]] = []
        self.text: list[np.ndarray] = []
        self.seg: list[np.ndarray] = []
        self.img: list[np.ndarray] = []
        self.count = self.truncated = 0  # captions

    def add(self, samples: list[Sample], encoder: Encoder) -> None:
        captions = [sample.captions for sample in samples]
        ids, truncated = encoder.text([text for texts in captions for text in texts])
        self.count += len(ids)
        self.truncated += int(truncated.sum())
        null = np.full((1, encoder.bpe.length), encoder.bpe.pad_id)
        ends = np.cumsum([len(texts) for texts in captions])
        self.text += [rows if len(rows) else null for rows in np.split(ids, ends[:-1])]
        self.keys += [sample.key for sample in samples]
        self.captions += captions
        seg, img = encoder.codes(samples)
        self.seg.append(seg)
        self.img.append(img)

    def columns(self, streams: Streams) -> dict:
        """For token_batch."""
        empty = {name: np.empty((0, streams[name].length), np.int64) for name in ("seg", "img")}
        return {
            "keys": self.keys,
            "captions": self.captions,
            "text": self.text,
            "seg": np.concatenate([empty["seg"], *self.seg]),
            "img": np.concatenate([empty["img"], *self.img]),
        }
