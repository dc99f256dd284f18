"""Small runs of `mas-fast train gpt` on made-up tokens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

import curves  # noqa: E402
from mas_fast.data.shards import TOKENS, ShardFolder  # noqa: E402
from mas_fast.data.token_shards import token_batch, write_tokens  # noqa: E402
from mas_fast.streams import Stream, Streams  # noqa: E402
from mas_fast.training.gpt_settings import GPTSettings  # noqa: E402
from mas_fast.training.settings import build  # noqa: E402

STREAMS = Streams([Stream("text", 6, 280, pad=0), Stream("seg", 4, 32, (2, 2))])
STREAMS = Streams([*STREAMS, Stream("img", 16, 64, (4, 4))])
WORDS = "a red house beside the lake two dogs on a long road at dusk".split()
TINY = {"model": {"preset": "tiny"}, "steps": 6, "batch": 4, "lr": 1e-3, "log_every": 1}
TINY |= {"sheet_every": 4, "metric_samples": 8, "peak_tflops": 0.01}


def write_shards(path: Path, streams: Streams, rows: dict) -> Path:
    kind = {"format": "arrow", "streams": streams.to_list()}
    folder = ShardFolder(path, TOKENS, "arrow", kind, 1)
    folder.begin()
    folder.commit(0, lambda file: write_tokens(file, token_batch(streams, **rows)))
    folder.finish()
    return path


def settings(data, folder, **changes) -> GPTSettings:
    torch.set_num_threads(1)
    return build(GPTSettings, TINY | changes | {"data": str(data), "folder": str(folder)}, "test")


def scalars(folder, name: str = "gpt/loss") -> dict[int, float]:
    return curves.scalars(folder, name)


def command(*arguments, processes: int = 0) -> list[str]:
    launch = [sys.executable]
    if processes:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launch += [str(processes)]
    script = Path(sys.executable).with_name("mas-fast")
    return [*launch, str(script), "train", "gpt", *map(str, arguments)]


def run(*arguments, processes: int = 0) -> subprocess.CompletedProcess:
    words = command(*arguments, processes=processes)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return done


def config(tmp_path, **changes) -> Path:
    import yaml

    file = tmp_path / "gpt.yaml"
    file.write_text(yaml.safe_dump(TINY | changes))
    return file
