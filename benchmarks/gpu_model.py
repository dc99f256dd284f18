"""`python -m benchmarks.gpu_model SHARDS --folder FOLDER`: trains the storybook's GPT.

Its three stages run one after the other on token shards, in larger batches than on a CPU. The same
command goes on where it was stopped. FOLDER/model receives the GPT of the last stage that has one.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from mas_fast.bundle import GPT_FILE
from mas_fast.data.shards import TOKENS, ShardFolder
from mas_fast.data.token_shards import token_batch, write_tokens
from mas_fast.models.gpt_config import preset
from mas_fast.training.gpt import train
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.settings import find, read

STAGES = ("storybook-128-1", "storybook-128-2-pictures", "storybook-128-3-scenes")
OPTIONS = ["--batch", "128"]
REHEARSAL = ["--batch", "2", "--steps", "1", "--metric_samples", "2", "--samples", "4"]
REHEARSAL += ["--peak_tflops", "1"]  # else it is measured
SAMPLES = 8  # of made-up shards


def run(shards: Path, folder: Path, options: list[str]) -> None:
    """Train all stages.

    Args:
        shards: of tokens.
        folder: receives a folder for each stage.
        options: settings of every stage that replace its own.
    """
    start: list[str] = []
    for stage in STAGES:
        known = ["--data", str(shards), "--folder", str(folder / stage), *start, *options]
        try:
            bundle = train(read(GPTSettings, find("gpt", stage), known))
        finally:  # also of a stage that was stopped
            keep(folder / stage / "bundle", folder / "model")
        start = ["--start", str(bundle)]


def keep(bundle: Path, target: Path) -> None:
    """Put a bundle, if there is one, in place of another."""
    if (bundle / GPT_FILE).exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(bundle, target)


def make_shards(folder: Path) -> None:
    """Make token shards of the storybook's shape with random tokens."""
    streams = preset("storybook").streams
    generator = torch.Generator().manual_seed(0)

    def tokens(name: str, *shape: int):
        stream = streams[name]
        size = (SAMPLES, *shape, stream.length)
        return torch.randint(stream.vocab, size, generator=generator).numpy()

    batch = token_batch(
        streams,
        keys=[f"{n:09}" for n in range(SAMPLES)],
        captions=[["a red house"]] * SAMPLES,
        text=tokens("text", 1),
        seg=tokens("seg"),
        img=tokens("img"),
    )
    shards = ShardFolder(
        folder, TOKENS, "arrow", {"format": "arrow", "streams": streams.to_list()}, 1
    )
    shards.begin()
    shards.commit(0, lambda file: write_tokens(file, batch))
    shards.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the storybook's GPT.")
    parser.add_argument("shards", type=Path)
    parser.add_argument("--folder", type=Path, help="of the run")
    parser.add_argument("--rehearse", action="store_true", help="a step of each stage")
    parser.add_argument("--make-shards", action="store_true", help="only make up SHARDS")
    options = parser.parse_args()
    if options.make_shards:
        make_shards(options.shards)
    else:
        run(options.shards, options.folder, REHEARSAL if options.rehearse else OPTIONS)


if __name__ == "__main__":
    main()
