"""`mas-fast encode` and `mas-fast decode`, and `generate`, through both runtimes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("onnxruntime")

from mas_fast import cli  # noqa: E402
from mas_fast.bundle import load_vq  # noqa: E402
from mas_fast.cli.ending import Interrupted  # noqa: E402
from mas_fast.data.token_file import Codes  # noqa: E402
from mas_fast.models.torch_codec import TorchCodec  # noqa: E402
from mas_fast.onnx.files import sha256  # noqa: E402
from mas_fast.scene import Scene, open_scene  # noqa: E402

CAPTION = "a red house beside the lake"


@pytest.fixture
def run(tiny_bundle, deployed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments, runtime="onnx"):
        model = {"onnx": deployed, "torch": tiny_bundle}[runtime]
        words = [*map(str, arguments), "--runtime", runtime, "--model", str(model)]
        words += ["--threads", "1"]
        return CliRunner().invoke(cli.app, words, catch_exceptions=False)

    return command


@pytest.fixture
def pictures(tmp_path):
    """A wide one and a small one, of one name, and a painted scene."""
    random = np.random.default_rng(0)
    (tmp_path / "b").mkdir()
    for name, shape in (("a.png", (20, 40, 3)), ("b/a.jpg", (9, 9, 3))):
        Image.fromarray(random.integers(0, 256, shape).astype(np.uint8)).save(tmp_path / name)
    labels = np.repeat([[0, 16], [119, 255]], 10, 0).repeat(15, 1).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "labels.png")


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_pictures_there_and_back(run, pictures, tiny_bundle, runtime) -> None:
    result = run("encode", "a.png", "b/a.jpg", "-o", "x.npz", runtime=runtime)
    assert result.exit_code == 0
    assert result.stdout == "written: x.npz\n"
    found = Codes.load("x.npz")
    assert (found.model, found.names) == ("vq_img", ["a", "a-2"])
    assert found.bundle == sha256(tiny_bundle / "vq_img.safetensors")
    codec = TorchCodec("", load_vq(tiny_bundle, "vq_img"))
    middle = Image.open("a.png").crop((10, 0, 30, 20))
    assert found.codes.shape == (2, 4, 4)
    nearest = codec.encode([middle.resize((16, 16), Image.Resampling.BICUBIC)])[0]
    assert (nearest == found.codes[0]).mean() > 0.5  # another cubic
    result = run("decode", "x.npz", "-o", "out", runtime=runtime)
    assert result.stdout.splitlines() == ["written: out/a.png", "written: out/a-2.png"]
    for name, expected in zip(("a", "a-2"), codec.decode(found.codes), strict=True):
        pixels = np.asarray(Image.open(f"out/{name}.png")).astype(int)
        assert np.abs(pixels - expected).max() <= 1


def test_runtimes_agree(run, pictures) -> None:
    for runtime in ("onnx", "torch"):
        run("encode", "a.png", "-o", f"{runtime}.npz", runtime=runtime)
        words = ["--scenes", "labels.png", "--scene-labels", "mini158"]
        run("encode", *words, "-o", f"{runtime}-scene.npz", runtime=runtime)
    for kind in ("", "-scene"):
        one, other = (Codes.load(f"{runtime}{kind}.npz") for runtime in ("onnx", "torch"))
        assert np.array_equal(one.codes, other.codes)
        assert vars(one).keys() == vars(other).keys()
        assert (one.model, one.bundle, one.names) == (other.model, other.bundle, other.names)
    assert run("decode", "torch.npz").exit_code == 0  # of the other's
    result = run("generate", CAPTION, "--seed", 3, "-n", 2, "-o", "a1.png")
    assert result.exit_code == 0
    assert "written: a1-2.scene.png" in result.stdout
    run("generate", CAPTION, "--seed", 3, "-n", 2, "-o", "a2.png", runtime="torch")
    for n in (1, 2):
        assert Scene.load(f"a1-{n}.scene.png") == Scene.load(f"a2-{n}.scene.png")
        one, other = (np.asarray(Image.open(f"a{i}-{n}.png")).astype(int) for i in (1, 2))
        assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_scenes_there_and_back(run, pictures, tiny_bundle, runtime) -> None:
    result = run("encode", "--scenes", "labels.png", "--scene-labels", "mini158", runtime=runtime)
    assert result.exit_code == 0
    assert "labels.png: read as mini158: person 25.0%, dog 25.0%, sky-other-merged" in result.stderr
    found = Codes.load("tokens.npz")
    codec = TorchCodec("", load_vq(tiny_bundle, "vq_seg"))
    assert found.model == "vq_seg"
    assert found.names == ["labels"]
    assert np.array_equal(
        found.codes, codec.encode([open_scene("labels.png", labels="mini158", size=16)])
    )
    result = run("decode", "tokens.npz", runtime=runtime)
    files = ["decoded/labels.png", "decoded/labels.legend.png"]
    assert result.stdout.splitlines() == [f"written: {file}" for file in files]
    assert [Scene.load(files[0])] == codec.decode(found.codes)
    result = run("encode", "--scenes", files[0], "-o", "again.npz", runtime=runtime)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("encode none.png", "none.png: found no such file"),
        ("encode bad.png", "bad.png: found data that is no image"),
        ("encode a.png -o a.png", "a.png: found the suffix '.png', expected the name of"),
        ("encode a.png -o no/x.npz", "no/x.npz: found no folder no"),
        ("encode saved.png", "saved.png: found a scene that mas_fast saved, expected a picture"),
        ("encode a.png --scene-labels voc", "--scene-labels: found voc, expected --scenes with it"),
        ("encode --scenes a.png --scene-labels vo", "labels: found 'vo', expected one of mini158"),
        ("encode --scenes a.png", "a.png: found RGB without the text entry"),
        ("decode a.png", "a.png: found no .npz, expected codes of `mas-fast encode`"),
        ("decode none.npz", "none.npz: found no such file"),
        ("decode other.npz", "other.npz: found codes of another vq_img, whose weights have"),
        ("decode large.npz", "{model}: vq_img: found the code 64, expected 0 to 63"),
        ("encode a.png --provider rocm", "providers: found 'rocm', expected some of"),
        ("generate x --provider rocm", "providers: found 'rocm', expected some of"),
        (
            "generate x --onnx-dtype fp16",
            "{model}/onnx/vq_seg_decoder.fp16.onnx: found no such file",
        ),
        ("generate x --engine cpp", "--engine: found 'cpp' with --runtime onnx, expected it with"),
        ("generate x --device cpu", "--device: found 'cpu' with --runtime onnx, expected it with"),
        ("generate x --dtype fp8", "--dtype: found 'fp8', expected one of"),
    ],
)
def test_mistakes_end_in_one_line(
    pictures, deployed, tmp_path, monkeypatch, words, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Scene(np.zeros((8, 8), np.uint8), np.zeros((8, 8), bool)).save("saved.png")
    hashes = [sha256(deployed / "gpt.safetensors"), _bundle(deployed)]
    for name, digest, code in (("other", hashes[0], 0), ("large", hashes[1], 64)):
        Codes("vq_img", digest, ["x"], np.full((1, 4, 4), code)).save(f"{name}.npz")
    before = sorted(tmp_path.iterdir())
    options = ["--runtime", "onnx", "--model", str(deployed)]
    monkeypatch.setattr(sys, "argv", ["mas-fast", *words.split(), *options])
    with pytest.raises(SystemExit) as end:
        cli.main()
    start = f"mas-fast: {message.format(model=deployed)}"
    assert str(end.value.code).startswith(start)
    assert "\n" not in end.value.code
    assert sorted(tmp_path.iterdir()) == before


def interrupt(monkeypatch, method: str, at: int) -> None:
    """The codec is interrupted at the item `at`, counted from 1."""
    from mas_fast.onnx.codec import OnnxCodec

    real, calls = getattr(OnnxCodec, method), []

    def stopped(self, *arguments):
        calls.append(None)
        if len(calls) == at:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(OnnxCodec, method, stopped)


def test_an_interrupt_keeps_what_is_encoded_and_decoded(run, pictures, monkeypatch, capsys) -> None:
    files = ["a.png", "b/a.jpg", "a.png"]
    run("encode", *files, "-o", "whole.npz")
    run("decode", "whole.npz", "-o", "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, "_encode", 3)
        with pytest.raises(Interrupted, match="^2 of 3 files are encoded$"):
            run("encode", *files, "-o", "part.npz")
    part, whole = Codes.load("part.npz"), Codes.load("whole.npz")
    assert part.names == ["a", "a-2"]
    assert np.array_equal(part.codes, whole.codes[:2])
    with monkeypatch.context() as patch:
        interrupt(patch, "_decode", 3)
        with pytest.raises(Interrupted, match="^2 of 3 are decoded$"):
            run("decode", "whole.npz", "-o", "part")
    assert sorted(file.name for file in Path("part").iterdir()) == ["a-2.png", "a.png"]
    assert Path("part/a-2.png").read_bytes() == Path("whole/a-2.png").read_bytes()
    with monkeypatch.context() as patch:
        interrupt(patch, "_encode", 1)
        with pytest.raises(Interrupted, match="^0 of 3 files are encoded$"):
            run("encode", *files, "-o", "none.npz")
    assert not Path("none.npz").exists()


def test_a_bad_picture_among_good_ones_loses_none(run, pictures) -> None:
    """A file that is not there is found first, one that is broken inside when it is its turn."""
    whole = Path("b/a.jpg").read_bytes()
    Path("cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match="cut.jpg: "):
        run("encode", "a.png", "cut.jpg", "b/a.jpg")
    assert Codes.load("tokens.npz").names == ["a"]
    with pytest.raises(ValueError, match="absent.png: found no such file"):
        run("encode", "a.png", "absent.png", "-o", "x.npz")
    assert not Path("x.npz").exists()


def test_codes_and_pictures_replace_no_input(run, pictures, deployed) -> None:
    run("encode", "a.png")
    Path("decoded").mkdir()
    Path("decoded/a.png").write_bytes(Path("tokens.npz").read_bytes())
    Path("pictures.npz").write_bytes(Path("a.png").read_bytes())
    before = {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()}
    for words in (
        ["decode", "decoded/a.png"],
        ["encode", "pictures.npz", "-o", "pictures.npz"],
        ["encode", "a.png", "pictures.npz", "-o", "./pictures.npz"],
    ):
        with pytest.raises(ValueError, match="--output: .*found an input of this command"):
            run(*words)
    assert {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()} == before


def _bundle(folder) -> str:
    from mas_fast.onnx.files import read_metadata

    return read_metadata(folder / "onnx" / "vq_img_decoder.fp32.onnx").bundle


def test_without_torch_the_other_runtime_is_named(tiny_bundle, tmp_path) -> None:
    block = "import sys; sys.modules['torch'] = None; from mas_fast.cli import main; main()"
    Codes("vq_img", "0" * 64, ["x"], np.zeros((1, 4, 4), int)).save(tmp_path / "x.npz")
    for words in (["generate", CAPTION], ["decode", "x.npz"]):
        command = [sys.executable, "-c", block, *words, "--model", str(tiny_bundle)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.endswith("without it: --runtime onnx\n")
