"""How often a bundle's files are opened while it is made ready: in a new process, since what hears
of opened files stays there to its end."""

import collections
import subprocess
import sys

import pytest

COUNT = """
import os, sys
folder = os.path.abspath(sys.argv[1])

def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        file = os.path.abspath(os.fsdecode(arguments[0]))
        if file.startswith(folder):
            print("opened", os.path.relpath(file, folder))

sys.addaudithook(hear)
"""
LOAD = "import mas_fast; mas_fast.load(sys.argv[1], device='cpu', engine='{}', threads=1)"
PIPELINE = "from mas_fast.deploy import Pipeline; Pipeline(sys.argv[1], threads=1)"


def opened(code: str, bundle) -> collections.Counter:
    command = [sys.executable, "-c", COUNT + code, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return collections.Counter(
        line.split()[1] for line in done.stdout.splitlines() if line.startswith("opened ")
    )


@pytest.mark.parametrize("engine", ["cpp", "eager"])
def test_load_reads_each_file_once(tiny_bundle, engine) -> None:
    counts = opened(LOAD.format(engine), tiny_bundle)
    read = {name: n for name, n in counts.items() if not name.endswith(".onnx")}
    weights = {f"{name}.safetensors" for name in ("gpt", "vq_seg", "vq_img")}
    assert {"config.json", *weights} <= set(read)
    assert set(read.values()) == {1}


def test_pipeline_reads_the_config_and_the_weights_once(deployed, tiny_bundle) -> None:
    counts = opened(PIPELINE, deployed)
    assert counts["config.json"] == 1
    assert counts["gpt.safetensors"] == 1
