"""Shared fixtures, and which tests run: slow ones with `pytest --slow` or where CI=true, those that
are marked interpreted where TRITON_INTERPRET=1."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

# What a shell starts in the background ignores Ctrl-C, and so would the processes of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Threads that wait leave the processor to others: the tests' own processes, and this one's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "support"))  # what several files of tests share, imported by name
REAL_DATA = Path(os.environ.get("MAS_FAST_REAL_DATA") or TESTS.parents[1] / "shared" / "data")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("TRITON_INTERPRET") != "1":
        left = [item for item in items if "interpreted" in item.keywords]
        items[:] = [item for item in items if "interpreted" not in item.keywords]
        config.hook.pytest_deselected(items=left)
    if config.getoption("--slow") or os.environ.get("CI") == "true":
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without a generator of its own is the same each time."""
    import torch

    torch.manual_seed(0)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress bars are drawn, as on a terminal."""
    monkeypatch.setattr("mas_fast.utils.progress.terminal", lambda: True)


@pytest.fixture
def poison_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uninitialised tensors hold NaN (integers: their largest value): unwritten output shows."""
    import torch

    def poisoned(make):
        def empty(*args, **kwargs):
            tensor = make(*args, **kwargs)
            if tensor.is_floating_point():
                return tensor.fill_(float("nan"))
            if tensor.dtype is torch.bool:
                return tensor.fill_(True)
            return tensor.fill_(torch.iinfo(tensor.dtype).max)

        return empty

    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(owner, name, poisoned(getattr(owner, name)))


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """real_data(name): a file or folder of the real data beside the checkout, which may not be
    published here. The test is skipped where it is not."""

    def find(name: str) -> Path:
        if not (REAL_DATA / name).exists():
            pytest.skip(f"no real data {REAL_DATA / name}: MAS_FAST_REAL_DATA names its folder")
        return REAL_DATA / name

    return find


@pytest.fixture(scope="session")
def coco() -> Path:
    """20 real photos with panoptic annotations, 15 of them with captions, in COCO's folders."""
    return TESTS / "fixtures" / "coco"


@pytest.fixture(scope="session")
def coco_captions(coco) -> Path:
    """All 25,014 captions of COCO's val2017."""
    return coco / "annotations" / "captions_val2017.json.gz"


@pytest.fixture(scope="session")
def coco_tar(coco, coco_captions, tmp_path_factory) -> Path:
    """The 15 photos with captions as a webdataset tar: jpg, txt, json and the panoptic PNG."""
    table = json.loads((coco / "annotations" / "panoptic_val2017.json").read_bytes())
    captions: dict[int, list[str]] = {}
    for row in json.loads(gzip.decompress(coco_captions.read_bytes()))["annotations"]:
        captions.setdefault(row["image_id"], []).append(row["caption"])
    file = tmp_path_factory.mktemp("coco") / "coco-val-000000.tar"
    with tarfile.open(file, "w") as tar:
        for n, row in enumerate(table["annotations"]):
            png = coco / "annotations" / "panoptic_val2017" / row["file_name"]
            said = captions[row["image_id"]]
            info = {"captions": said, "segments_info": row["segments_info"]}
            for suffix, content in (
                ("jpg", (coco / "val2017" / f"{png.stem}.jpg").read_bytes()),
                ("json", json.dumps(info | {"image_id": row["image_id"]}).encode()),
                ("seg.png", png.read_bytes()),
                ("txt", said[0].encode()),
            ):
                member = tarfile.TarInfo(f"{n:09}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six smooth pictures with scenes beside them."""
    import numpy as np
    from PIL import Image

    from mas_fast.scene import Scene

    folder = tmp_path / "photos"
    folder.mkdir()
    y, x = np.mgrid[:40, :48]
    for i in range(6):
        pixels = np.stack([5 * x, 6 * y, 20 * i + x * 0], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg")
        labels = np.where(x < 6 * i + 5, 20 + i, 120).astype(np.uint8)
        scene = Scene(labels, (x == 6 * i + 4))
        for part, content in zip(("seg", "edge"), scene.to_pngs(), strict=True):
            (folder / f"{i}.{part}.png").write_bytes(content)
    return folder


@pytest.fixture
def run_interpreted():
    """run(file, keyword): the tests of a file that have the keyword, in a pytest of their own where
    Triton's interpreter runs the kernels. They must pass."""

    def run(file: str, keyword: str = "triton") -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-k", keyword, "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, file],
            env=os.environ | {"TRITON_INTERPRET": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert " passed" in done.stdout

    return run


@pytest.fixture
def rows_apart(monkeypatch) -> None:
    """Triton's interpreter multiplies matrices by NumPy, whose BLAS may sum a row in another order
    when other rows are beside it (OpenBLAS on AVX2). Here each element is a sum of its own, in the
    order of the kernel's columns: what kernels do with rows shows bit by bit."""
    import numpy as np
    from triton.runtime import interpreter

    def product(a, b, dtype=None):
        found = np.zeros((*a.shape[:-1], b.shape[-1]), dtype)
        for k in range(a.shape[-1]):
            found += a[..., k, None].astype(dtype) * b[..., k, None, :].astype(dtype)
        return found

    class Numpy:
        matmul = staticmethod(product)

        def __getattr__(self, name: str):
            return getattr(np, name)

    monkeypatch.setattr(interpreter, "np", Numpy())


@pytest.fixture(scope="session")
def scene():
    """24 x 32 pixels with three labels."""
    import numpy as np

    from mas_fast.scene import Layers

    labels = np.full((24, 32), 119, np.uint8)
    labels[10:] = 125
    labels[6:18, 12:20] = 16
    return Layers(labels).clean()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """See make_tiny_bundle."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def deployed(tiny_bundle, tmp_path_factory) -> Path:
    """The same with ONNX files instead of its tokenizers' weights."""
    pytest.importorskip("onnxscript")
    from mas_fast.onnx.export import export_onnx

    folder = tmp_path_factory.mktemp("bundles") / "deployed"
    export_onnx(tiny_bundle, folder, dtypes=["fp32"])
    return folder


@pytest.fixture(scope="session")
def faint_bundle(tiny_bundle, tmp_path_factory) -> Path:
    """The tiny bundle with pictures of half the contrast, and scenes of two labels, one of them far
    likelier: random weights go far beyond [-1, 1], and are sure of no label, so that the errors of
    8 bits would be large."""
    import shutil

    import torch

    from mas_fast.bundle import load_vq, save_vq

    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("bundles") / "faint")
    model = load_vq(folder, "vq_img")
    with torch.no_grad():
        for parameter in model.decoder.conv_out.parameters():
            parameter.mul_(0.5)
    save_vq(folder, "vq_img", model)
    model = load_vq(folder, "vq_seg")
    with torch.no_grad():
        bias = model.decoder.conv_out.bias
        bias[:-1] -= 100
        bias[:2] += torch.tensor([102.0, 100.0])
        bias[-1] += 2
    save_vq(folder, "vq_seg", model)
    return folder


@pytest.fixture(scope="session")
def deployed_int8(faint_bundle, tmp_path_factory) -> Path:
    """Its ONNX files in fp32, and those in int8."""
    pytest.importorskip("onnxscript")
    from mas_fast.onnx.export import export_onnx
    from mas_fast.pipelines.calibration import draw

    folder = tmp_path_factory.mktemp("bundles") / "int8"
    export_onnx(faint_bundle, folder, dtypes=["fp32", "int8"], draw=draw)
    return folder


def make_tiny_bundle(folder: Path) -> Path:
    """A whole bundle at random, whose logits have a spread of about 2, so that what it is told
    matters: 8 + 16 + 16 tokens, pictures of 16 pixels."""
    from dataclasses import replace

    import torch

    from mas_fast.bundle import save_bpe, save_gpt, save_vq, save_words
    from mas_fast.models.gpt import GPT, preset
    from mas_fast.models.vqvae import VQVAE
    from mas_fast.models.vqvae import preset as vq_preset
    from mas_fast.streams import Stream, Streams
    from mas_fast.text.bpe import BPE

    texts = ["A red house beside the lake", "Two dogs on a long road at dusk"]
    file = folder.with_name("captions.txt")
    file.write_text("\n".join(texts * 4))
    bpe = BPE.train([file], vocab_size=280, length=8, progress=False)
    save_bpe(folder, bpe)
    save_words(folder, texts)
    streams = [Stream("text", 8, 280, pad=bpe.pad_id), Stream("seg", 16, 32, (4, 4))]
    streams = Streams([*streams, Stream("img", 16, 64, (4, 4))])
    model = GPT.create(replace(preset("tiny"), streams=streams))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.3 if parameter.ndim > 1 else 0.1
            parameter.add_(torch.empty_like(parameter).normal_(0, spread, generator=generator))
    save_gpt(folder, model)
    for name in ("seg", "img"):
        config = replace(vq_preset(f"tiny-{name}"), resolution=16)
        tokenizer = VQVAE.create(config)
        with torch.no_grad():  # codes far apart: else every picture is grey
            tokenizer.quantize.table.normal_(0, 1, generator=generator)
        save_vq(folder, f"vq_{name}", tokenizer)
    return folder
