"""Kill the long commands at random moments, resume them, and compare what they leave.

    python scripts/kill_campaign.py                            # 20 kills of each of four commands
    python scripts/kill_campaign.py --only train-gpt --kills 100 --seed 7

Each command runs once undisturbed, on a few painted pictures and a random tiny bundle. Then it runs
again, is killed by SIGKILL at random moments between its first file and its end, and is started
again each time, until there were as many kills as asked for and it has come to its end. Every other
kill strikes the process alone and leaves its workers behind, as the kernel does when memory ends.
What both have left must be equal to the byte, but for TensorBoard's files, whose names have times
in them; nothing half-written may remain. The last line is the count of differences, which is the
exit status too. Two to five minutes a command on a quiet core.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from mas_fast.bundle import save_bpe, save_vq
from mas_fast.models.vqvae import VQVAE, preset
from mas_fast.scene import Scene
from mas_fast.text.bpe import BPE

PICTURES, SIDE = 48, 64
COMMAND = [sys.executable, "-c", "from mas_fast.cli import main; main()"]
TRAINING = {"steps": 24, "batch": 4, "checkpoint_every": 3, "log_every": 4, "sheet_every": 12}
TRAINING |= {"metric_samples": 8, "keep_checkpoints": 2}


def paint(folder: Path) -> None:
    """Pictures with captions and scenes."""
    folder.mkdir()
    random_ = np.random.default_rng(0)
    for n in range(PICTURES):
        pixels = random_.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:03}.png")
        (folder / f"{n:03}.txt").write_text(f"a house of the colour {n}\n")
        labels = np.full((SIDE, SIDE), 119, np.uint8)
        labels[: n + 8] = 100 + n % 4
        scene = Scene(labels, np.zeros((SIDE, SIDE), bool))
        for part, content in zip(("seg", "edge"), scene.to_pngs(), strict=True):
            (folder / f"{n:03}.{part}.png").write_bytes(content)


def bundle(folder: Path) -> None:
    """Tokenizers at random."""
    captions = folder.with_name("captions.txt")
    captions.write_text("a red house beside the lake\ntwo dogs on a long road at dusk\n" * 4)
    save_bpe(folder, BPE.train([captions], vocab_size=280, length=8, progress=False))
    for name, resolution in (("seg", 8), ("img", 16)):
        torch.manual_seed(0)
        config = replace(preset(f"tiny-{name}"), resolution=resolution)
        save_vq(folder, f"vq_{name}", VQVAE.create(config))


def commands(folder: Path) -> dict[str, list[str]]:
    """name -> arguments, each writing to `folder / name`."""
    for kind, model in (("gpt", {"preset": "tiny"}), ("img", {"preset": "tiny-img"})):
        values = TRAINING | {"model": model} | ({"peak_tflops": 1.0} if kind == "gpt" else {})
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(values))
    words = {
        "data-prepare": "data prepare pictures -o data-prepare --size 32 --per-shard 4 --workers 2",
        "data-tokenize": "data tokenize scenes -o data-tokenize --bundle bundle --workers 2",
        "train-gpt": "train gpt gpt.yaml --data tokens --bundle bundle --folder train-gpt",
        "train-vq-img": "train vq-img img.yaml --data scenes --folder train-vq-img --workers 1",
    }
    return {name: text.split() for name, text in words.items()}


def start(words: list[str], folder: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    log = open(folder / "log.txt", "ab")
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


def finish(words: list[str], folder: Path) -> None:
    done = start(words, folder).wait()
    if done:
        log = (folder / "log.txt").read_text(errors="replace")
        sys.exit(f"{' '.join(words)}: ended with {done}\n{log[-3000:]}")


def content(folder: Path) -> dict[str, str]:
    """The checksum of each file below."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "tensorboard" not in file.parts and file.name != ".lock"
    }


def undisturbed(words: list[str], folder: Path, output: Path) -> tuple[float, float]:
    """Run to the end; (seconds to the first file, seconds in all)."""
    begun = time.monotonic()
    process, first = start(words, folder), None
    while process.poll() is None:
        if first is None and output.is_dir() and any(output.iterdir()):
            first = time.monotonic() - begun
        time.sleep(0.02)
    if process.returncode:
        finish(words, folder)  # says what is wrong
    return first or 0.0, time.monotonic() - begun


def campaign(name: str, words: list[str], folder: Path, kills: int, seed: int) -> int:
    """The number of files that differ, after `kills` kills."""
    output, aside = folder / name, folder / f"{name}-undisturbed"
    first, seconds = undisturbed(words, folder, output)
    os.rename(output, aside)
    expected, wrong, moments = content(aside), 0, random.Random(seed)
    done = ends = 0
    orphans: list[int] = []
    while done < kills:
        process = start(words, folder)
        try:
            process.wait(moments.uniform(0.8 * first, seconds))
        except subprocess.TimeoutExpired:
            if done % 2:
                os.kill(process.pid, signal.SIGKILL)
                orphans.append(process.pid)
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
            continue
        if process.returncode:
            finish(words, folder)
        wrong += compare(name, expected, content(output))
        ends += 1
        shutil.rmtree(output)
    finish(words, folder)
    wrong += compare(name, expected, content(output))
    for group in orphans:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    print(
        f"{name}: {done} kills, {ends + 1} runs came to their end, {len(expected)} files each, "
        f"{wrong} differ",
        flush=True,
    )
    return wrong


def compare(name: str, expected: dict[str, str], actual: dict[str, str]) -> int:
    wrong = [f for f in sorted({*expected, *actual}) if expected.get(f) != actual.get(f)]
    for file in wrong:
        print(f"{name}: {file}: {expected.get(file)} undisturbed, {actual.get(file)} after kills")
    return len(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of commands, as in the output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paint(folder / "pictures")
        bundle(folder / "bundle")
        finish(
            "data prepare pictures -o scenes --size 32 --per-shard 16 --workers 1".split(), folder
        )
        finish("data tokenize scenes -o tokens --bundle bundle --workers 1".split(), folder)
        everything = commands(folder)
        if unknown := set(arguments.only or ()) - set(everything):
            sys.exit(f"--only: found {sorted(unknown)}, expected some of {list(everything)}")
        wrong = sum(
            campaign(name, words, folder, arguments.kills, arguments.seed)
            for name, words in everything.items()
            if not arguments.only or name in arguments.only
        )
    print(f"{wrong} files differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
