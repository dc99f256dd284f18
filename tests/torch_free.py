"""A bundle in an environment without torch, beside what torch makes of it. Three parts:

    python tests/torch_free.py export FOLDER     with torch: a bundle with its ONNX files, and what
                                                 is expected of it
    python tests/torch_free.py check FOLDER      without torch, where mas_fast[onnx] is installed:
                                                 the same tokens and scenes, pictures within 1 of
                                                 255
    python tests/torch_free.py serve FOLDER      the same, by a server, with mas_fast[serve]

The bundle is the one that comes with mas_fast; where there is none, a random one.
"""

import base64
import functools
import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

CAPTIONS = ["a red house beside a lake at dusk", "two dogs on a beach", "a tree " * 1400]
SEED = 7
# Bytes. Of those installed 246 MB are libraries, and 49 the model, whose encoders came last.
MOST_INSTALLED, MOST_MEMORY = 310 * 10**6, 600 * 10**6
MOST_SECONDS = 3  # to the first picture of the model that comes with mas_fast


def export(folder: Path) -> None:
    import mas_fast
    from mas_fast.bundle import SHIPPED
    from mas_fast.onnx.export import export_onnx

    bundle = SHIPPED
    if not bundle.is_dir():
        from conftest import make_tiny_bundle

        bundle = make_tiny_bundle(folder.with_name("random-bundle"))
    export_onnx(bundle, folder, dtypes=["fp32"])
    model = mas_fast.load(bundle, device="cpu", engine="cpp")
    first = model.generate(CAPTIONS, seed=SEED)
    first.scenes[0].save(folder / "given.png")
    second = model.generate(CAPTIONS[1], seed=SEED, scene=folder / "given.png")
    for name, out in (("captions", first), ("scene", second)):
        np.savez(folder / f"expected-{name}.npz", tokens=out.tokens, **_pixels(out))


def check(folder: Path) -> None:
    assert importlib.util.find_spec("torch") is None, "found torch, expected none"
    start = time.perf_counter()
    from mas_fast.deploy import Pipeline

    pipeline = Pipeline(folder)
    first = pipeline.generate(CAPTIONS, seed=SEED)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    second = pipeline.generate(CAPTIONS[1], seed=SEED, scene=folder / "given.png")
    for name, out in (("captions", first), ("scene", second)):
        with np.load(folder / f"expected-{name}.npz") as expected:
            assert np.array_equal(out.tokens, expected["tokens"]), name
            for key, found in _pixels(out).items():
                most = 1 if key.startswith("image") else 0
                assert np.abs(found.astype(int) - expected[key]).max() <= most, (name, key)
    codes = pipeline.encode(first.images)
    assert len(pipeline.decode("img", codes)) == len(CAPTIONS)
    installed = _installed()
    print(pipeline.info())
    print(f"{seconds:.1f} s from the import to {len(CAPTIONS)} pictures", end=", ")
    print(f"{memory / 1e6:.0f} MB of memory, {installed / 1e6:.0f} MB installed")
    assert memory <= MOST_MEMORY
    assert installed <= MOST_INSTALLED
    _commands(folder, first)
    _as_it_comes(folder, first)


def serve(folder: Path) -> None:
    assert importlib.util.find_spec("torch") is None, "found torch, expected none"
    sys.path.insert(0, str(Path(__file__).parent / "support"))
    from served import serving

    os.chdir(folder)  # elsewhere than the checkout, whose mas_fast would be found first
    body = json.dumps({"prompt": CAPTIONS[0], "seed": SEED}).encode()
    with serving(".") as address:
        asked = urllib.request.Request(
            f"{address}/v1/images/generations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            (drawn,) = json.load(answer)["data"]
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn["b64_json"])))).astype(int)
    with np.load(folder / "expected-captions.npz") as expected:
        assert np.abs(found - expected["image0"]).max() <= 1
    print(f"a server without torch, {_installed() / 1e6:.0f} MB installed")


def _run(folder: Path, *words: str, code: int = 0) -> str:
    command = [Path(sys.executable).with_name("mas-fast"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def _as_it_comes(folder: Path, expected) -> None:
    """The model that comes with mas_fast, by the decoders that it has."""
    from mas_fast.bundle import SHIPPED

    if not SHIPPED.is_dir():
        print(f"no model comes with mas_fast: found no {SHIPPED}")
        return
    start, before = time.perf_counter(), os.times()
    _run(folder, "generate", CAPTIONS[0], "--seed", str(SEED), "--runtime", "onnx")
    seconds, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    print(f"{seconds:.1f} s, {used:.1f} s of a core, from the command to the first picture")
    found = np.asarray(Image.open(folder / "out.png")).astype(int)
    assert np.abs(found - np.asarray(expected.images[0])).max() <= 1
    assert min(seconds, used) <= MOST_SECONDS  # on busy cores, the time that it had


def _commands(folder: Path, expected) -> None:
    run = functools.partial(_run, folder)
    onnx = ["--runtime", "onnx", "--model", "."]
    run("generate", CAPTIONS[0], "--seed", str(SEED), *onnx)
    assert Image.open(folder / "out.png").tobytes() == expected.images[0].tobytes()
    run("generate", CAPTIONS[1], "--scene", "out.scene.png", "-o", "second.png", *onnx)
    run("encode", "out.png", "second.png", *onnx)
    assert "decoded/second.png" in run("decode", "tokens.npz", *onnx)
    assert "without it: --runtime onnx" in run("generate", "a dog", "--model", ".", code=1)
    assert "not installed" in run("info")


def _pixels(out) -> dict[str, np.ndarray]:
    images = {f"image{n}": np.asarray(image) for n, image in enumerate(out.images)}
    scenes = {f"labels{n}": scene.labels for n, scene in enumerate(out.scenes)}
    return images | scenes | {f"edges{n}": scene.edges for n, scene in enumerate(out.scenes)}


def _installed() -> int:
    """Bytes of the environment's packages, pip and setuptools aside."""
    total = 0
    for top in Path(sysconfig.get_path("purelib")).iterdir():
        if not top.name.lower().startswith(("pip", "setuptools", "pkg_resources", "_distutils")):
            files = (Path(root) / f for root, _, names in os.walk(top) for f in names)
            total += sum(f.stat().st_size for f in ([top] if top.is_file() else files))
    return total


if __name__ == "__main__":
    {"export": export, "check": check, "serve": serve}[sys.argv[1]](Path(sys.argv[2]).absolute())
