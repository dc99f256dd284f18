"""Shards of scenes -> shards of tokens, through the three tokenizers of a bundle.

    tokenize("scenes", "my-bundle", "tokens", workers=2)         # `mas-fast data tokenize`
    tokens = TokenShards("tokens")                               # data.token_shards

Each scene shard becomes one token shard. The middle square of a picture and of its scene is taken,
at the resolution of each tokenizer. A sample keeps all its captions, as strings and as tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from mas_fast.bundle.config import BPE_FILE, read_vq_config
from mas_fast.bundle.extras import load_bpe
from mas_fast.bundle.torch_io import load_vq
from mas_fast.data import rejects
from mas_fast.data.shards import MANIFEST, SCENES, TOKENS, ShardFolder, read_manifest, sha256
from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.tars import TarSource
from mas_fast.data.token_shards import check_vocab, read_json, token_batch, write_tokens
from mas_fast.data.workers import Job, Make, run_job
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene import Scene, layout_named
from mas_fast.streams import Stream, Streams
from mas_fast.text.hints import hinted, hints, random_part
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
    hints: int = 0,
    progress: bool = True,
) -> dict:
    """Make a folder of token shards, or continue one.

    The last bits of a sum may depend on `batch` and `device`, so both are among the options that a
    continued run has to repeat.

    Args:
        scenes: folder of scene shards, as `prepare` made it.
        bundle: directory with tokenizer.json, vq_seg and vq_img.
        output: folder of the token shards.
        format: "arrow" to train on (`TokenShards`), "parquet" for other programs.
        batch: pictures that a tokenizer sees at once; a batch never spans two shards.
        device: "cpu" or "cuda".
        workers: number of processes, as in `workers.run_job`.
        ray: address of a Ray cluster, as in `workers.run_job`.
        hints: captions that each sample gets in addition, its own with hints of a random part of
            its scene, as text.hints tells them.
        progress: whether to show a progress bar.

    Returns:
        The manifest of the folder.

    Raises:
        ValueError: if an argument is unfit, if the bundle lacks a tokenizer, if the scenes have no
            sample, or if the folder is unfinished or belongs to another run: one with other scenes
            or tokenizers, regardless of where those lie.
    """
    check_choice("format", format, FORMATS)
    check_int("batch", batch, 1)
    check_int("hints", hints, 0)
    scenes, bundle = Path(scenes), Path(bundle)
    check_apart(output, scenes)
    shards = read_manifest(scenes, SCENES)["shards"]
    if not any(shard["samples"] for shard in shards):
        raise ValueError(
            f"{scenes}: found 0 samples, expected some to tokenize: {scenes / rejects.FILE} says "
            "why there are none"
        )
    streams = streams_of(bundle)
    checksum = _checksum(shards)
    options = {
        "format": format,
        "scenes": checksum,
        "tokenizers": {
            name: sha256(bundle / name)
            for name in (BPE_FILE, "vq_seg.safetensors", "vq_img.safetensors")
        },
        "streams": streams.to_list(),
        "batch": batch,
        "device": device,
    } | ({"hints": hints} if hints else {})
    _check_scenes(Path(output), scenes, checksum)
    folder = ShardFolder(output, TOKENS, format, options, len(shards))
    pending = folder.begin()
    images: list[int] = [shard["samples"] for shard in shards]
    run_job(
        Encoding(
            folder,
            scenes,
            tuple(s["sha256"] for s in shards),
            bundle,
            streams,
            batch,
            hints,
            device,
        ),
        pending,
        workers=workers,
        ray=ray,
        done=sum(images) - sum(images[number] for number in pending),
        images=sum(images),
        progress=progress,
    )
    return folder.finish()


def _check_scenes(output: Path, scenes: Path, checksum: str) -> None:
    """Raise ValueError for a folder with tokens of other scenes, wherever those lay."""
    if not any(file.name != MANIFEST for file in output.glob("*.json")):
        return
    source_checksum = read_manifest(output, TOKENS, finished=False)["options"].get("scenes")
    if source_checksum != checksum:
        raise ValueError(
            f"{output}: found tokens of other scenes than {scenes} has now: give the scenes that "
            "they were made from to go on, or another folder with --output to begin anew"
        )


def caption_counts(output: str | os.PathLike) -> tuple[int, int]:
    """Count the captions in a folder of token shards.

    Args:
        output: the folder; it may be unfinished.

    Returns:
        Number of captions, and number of those that were longer than the tokenizer takes.
    """
    files = [file for file in Path(output).glob("*.json") if file.name != MANIFEST]
    cars = [cast(dict, read_json(file)) for file in files]  # read_json checks that it is one
    return sum(car.get("captions", 0) for car in cars), sum(car.get("truncated", 0) for car in cars)


def _checksum(shards: list[dict]) -> str:
    """Return a checksum of all that the scene shards hold."""
    return hashlib.sha256(json.dumps([shard["sha256"] for shard in shards]).encode()).hexdigest()


def streams_of(bundle: Path) -> Streams:
    """Describe the token streams of a bundle's tokenizers.

    Args:
        bundle: directory with tokenizer.json, vq_seg and vq_img.

    Returns:
        The streams text, seg and img.

    Raises:
        ValueError: if a tokenizer is missing, or if its tokens cannot be stored.
    """
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
    """Describe the stream of a tokenizer's codes.

    Args:
        name: name of the stream.
        config: config of the tokenizer.

    Returns:
        A stream of (resolution / f)^2 codes on a square grid.
    """
    side = config.resolution // config.f
    return Stream(name, side * side, config.codes, grid=(side, side))


@dataclass(frozen=True)
class Encoding(Job):
    """The job of `tokenize`: one shard per call.

    Attributes:
        folder: where the token shards go.
        scenes: folder of the scene shards.
        checksums: SHA-256 of each scene shard.
        bundle: directory of the tokenizers.
        streams: text, seg and img.
        batch: pictures that a tokenizer sees at once.
        hints: captions with hints that each sample gets in addition.
        device: "cpu" or "cuda".
    """

    folder: ShardFolder
    scenes: Path
    checksums: tuple[str, ...]
    bundle: Path
    streams: Streams
    batch: int
    hints: int
    device: str

    def open(self) -> Make:
        """Load the tokenizers; see `Job.open`."""
        encoder = Encoder(self.bundle, self.device)

        def make(number: int, tick: Callable[[int], object]) -> int:
            rows = _Rows()
            for samples in self._batches(number):
                rows.add(samples, encoder, self.hints)
                tick(len(samples))

            def write(file: Path) -> dict:
                columns = rows.columns(self.streams)
                facts = write_tokens(file, token_batch(self.streams, **columns), self.folder.suffix)
                return facts | {"captions": rows.count, "truncated": rows.truncated}

            self.folder.commit(number, write)
            return len(rows.keys)

        return make

    def _batches(self, number: int) -> Iterator[list[Sample]]:
        """Yield the samples of a shard; ValueError if it is not as its manifest says."""
        file = self.scenes / f"{number:05}.tar"
        if (checksum := sha256(file)) != self.checksums[number]:
            raise ValueError(f"{file}: found sha256 {checksum}, expected {self.checksums[number]}")
        source = TarSource([file])
        for start in range(0, len(source), self.batch):
            samples = []
            for n in range(start, min(start + self.batch, len(source))):
                item = source[n]
                if isinstance(item, Reject):
                    raise ValueError(f"{file}: {item.key}: {item.reason}")
                samples.append(item)
            yield samples


class Encoder:
    """The tokenizers of a bundle on a device.

    Args:
        bundle: directory with tokenizer.json, vq_seg and vq_img.
        device: "cpu" or "cuda".
    """

    def __init__(self, bundle: Path, device: str) -> None:
        import torch

        self.bpe = load_bpe(bundle)
        self.device = device
        names = ("vq_seg", "vq_img")
        self.seg, self.img = (load_vq(bundle, name, device, torch.float32) for name in names)
        del self.seg.decoder, self.img.decoder  # more than half of the weights

    def text(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Encode captions.

        Args:
            captions: B texts.

        Returns:
            Ids, int32 [B, length], and whether each caption was cut, bool [B].
        """
        return self.bpe.encode(captions)

    def codes(self, samples: list[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Encode pictures and their scenes.

        Args:
            samples: B samples; each has a scene.

        Returns:
            Codes of the scenes and codes of the pictures, each int64 [B, h w] in raster order, and
            the labels of the scenes, uint8 [B, H, W].
        """
        import torch

        def tensor(arrays: list[np.ndarray]) -> torch.Tensor:
            return torch.from_numpy(np.stack(arrays)).to(self.device)

        seg, img = self.seg.config, self.img.config
        squares = [sample.square(img.resolution) for sample in samples]
        pixels = tensor([square.pixels for square in squares])
        pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        if seg.resolution != img.resolution:
            squares = [sample.square(seg.resolution) for sample in samples]
        # scene shards have a scene for each sample, and streams_of found a layout
        scenes = [cast(Scene, square.scene).to(cast(str, seg.layout)) for square in squares]
        labels, edges = tensor([s.labels for s in scenes]), tensor([s.edges for s in scenes])
        return (
            self.seg.encode((labels, edges)).flatten(1).cpu().numpy(),
            self.img.encode(pixels).flatten(1).cpu().numpy(),
            np.stack([scene.labels for scene in scenes]),
        )


def told(sample: Sample, labels: np.ndarray, count: int, encoder: Encoder) -> list[str]:
    """Captions of a sample, each with hints of a part of its scene; which part, its key says."""
    layout = layout_named(cast(str, encoder.seg.config.layout))
    generator = np.random.default_rng(zlib.crc32(sample.key.encode()))
    texts = []
    for n in range(count if sample.captions else 0):
        found = hints(labels, random_part(labels, generator), layout)
        texts.append(hinted(encoder.bpe, sample.captions[n % len(sample.captions)], found))
    return texts


class _Rows:
    """The columns of one shard in the making."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.captions: list[list[str]] = []
        self.text: list[np.ndarray] = []
        self.seg: list[np.ndarray] = []
        self.img: list[np.ndarray] = []
        self.count = self.truncated = 0  # captions

    def add(self, samples: list[Sample], encoder: Encoder, hints: int) -> None:
        seg, img, labels = encoder.codes(samples)
        captions = [
            sample.captions + told(sample, scene, hints, encoder)
            for sample, scene in zip(samples, labels, strict=True)
        ]
        ids, truncated = encoder.text([text for texts in captions for text in texts])
        self.count += len(ids)
        self.truncated += int(truncated.sum())
        null = np.full((1, encoder.bpe.length), encoder.bpe.pad_id)
        ends = np.cumsum([len(texts) for texts in captions])
        self.text += [rows if len(rows) else null for rows in np.split(ids, ends[:-1])]
        self.keys += [sample.key for sample in samples]
        self.captions += captions
        self.seg.append(seg)
        self.img.append(img)

    def columns(self, streams: Streams) -> dict:
        """Return the arguments of `token_batch`."""
        empty = {name: np.empty((0, streams[name].length), np.int64) for name in ("seg", "img")}
        return {
            "keys": self.keys,
            "captions": self.captions,
            "text": self.text,
            "seg": np.concatenate([empty["seg"], *self.seg]),
            "img": np.concatenate([empty["img"], *self.img]),
        }
