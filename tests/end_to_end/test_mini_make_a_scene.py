"""configs/mini-make-a-scene: the whole way, on 15 real photos with captions and scenes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from mas_fast.bundle import load_bpe, load_gpt, load_vq  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.generation import generate_tokens  # noqa: E402
from mas_fast.training.settings import read  # noqa: E402
from mas_fast.training.vq import SegSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "configs" / "mini-make-a-scene"
COMMON = {"folder": "unused", "steps": 8, "batch": 4, "lr": 1e-3, "log_every": 1, "ema_decay": 0.9}
COMMON |= {"sheet_every": 8, "metric_samples": 8}


def run(*words, **environment) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(RECIPE / "run.sh"), *map(str, words)],
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=800,
    )


@pytest.mark.slow
def test_from_a_list_of_captions_to_a_bundle_that_draws(tmp_path, coco_tar, coco_captions) -> None:
    configs = {}
    for name, model in (("VQ_SEG", "tiny-seg"), ("VQ_IMG", "tiny-img"), ("GPT", "tiny")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(COMMON | {"model": {"preset": model}}))
        configs[name] = str(file)
    out = tmp_path / "out"
    (out / "pairs").mkdir(parents=True)
    (out / "pairs" / "00000.tar").symlink_to(coco_tar)
    options = {**configs, "SIZE": "32", "VOCAB": "512", "LENGTH": "16", "WORKERS": "1"}
    contents = []
    for _ in range(2):  # the second time, everything is there
        done = run(out, coco_captions, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        files = sorted(file.name for file in (out / "bundle").iterdir())
        assert files == [
            *("config.json", "gpt.safetensors", "tokenizer.json"),
            *("vq_img.safetensors", "vq_seg.safetensors"),
        ]
        contents.append([(out / "bundle" / name).read_bytes() for name in files[1:]])
    assert contents[0] == contents[1]

    tokens, model = TokenShards(out / "tokens"), load_gpt(out / "bundle")
    assert len(tokens) == 15
    assert all(tokens.captions(i) for i in range(15))
    bpe = load_bpe(out / "bundle")
    assert (tokens[3].text[0] == bpe.encode(tokens.captions(3)).ids[0]).all()
    assert [s.length for s in model.streams] == [16, 64, 64]
    assert (out / "gpt" / "sheets" / "step-00000008.png").is_file()
    drawn = generate_tokens(model, bpe.encode(["two dogs on a road"]).ids, seed=1)
    for name in ("seg", "img"):
        codes = drawn[:, model.streams.slice(name)].view(1, 8, 8)
        out_of = load_vq(out / "bundle", f"vq_{name}").decode(codes)
        assert out_of.shape[-2:] == (32, 32)
        assert np.isfinite(out_of.detach().numpy()).all()


def test_the_plan() -> None:
    done = run("--plan", "--machine", "8xH100")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for expected in ("14,000,000 pairs on 8 x H100", "271,337,472", "train vq-seg", "hours", "GB"):
        assert expected in text


def test_what_it_needs_is_said(tmp_path) -> None:
    done = run()
    assert done.returncode == 2
    assert "run.sh OUT Train_GCC-training.tsv" in done.stderr
    assert "set -euo" not in done.stderr
    assert read(SegSettings, RECIPE / "vq-seg.yaml", ["--data", "x"]).config().f == 16
