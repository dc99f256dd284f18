"""What is known of a bundle without running it."""

import json
import shutil

import pytest

from mas_fast.bundle import check_bundle


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "tiny")


def test_a_bundle_passes(tiny_bundle, deployed) -> None:
    check_bundle(tiny_bundle)
    check_bundle(deployed)  # with ONNX files instead of its tokenizers' weights


@pytest.mark.parametrize("name", ["config.json", "gpt.safetensors", "words.txt"])
def test_a_link_out_of_it_is_refused(name: str, folder, tmp_path) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name}: found that it leads to .*{name}, expected"):
        check_bundle(folder)


def test_a_link_within_it_is_a_file(folder) -> None:
    (folder / "words.txt").rename(folder / "other")
    (folder / "words.txt").symlink_to("other")
    check_bundle(folder)


@pytest.mark.parametrize("kind", ["folder", "nothing"])
def test_what_is_no_file_is_refused(kind: str, folder, tmp_path) -> None:
    (folder / "words.txt").unlink()
    if kind == "folder":
        (folder / "words.txt").mkdir()
    else:
        (folder / "words.txt").symlink_to(folder / "missing")
    with pytest.raises(ValueError, match="words.txt: found that it leads to"):
        check_bundle(folder)


@pytest.mark.parametrize(
    ("name", "most"),
    [("config.json", 1 << 20), ("words.txt", 1 << 28), ("gpt.safetensors", (1 << 26) + 206_000)],
)
def test_a_file_that_is_too_large_is_refused(name: str, most: int, folder) -> None:
    with open(folder / name, "r+b") as file:
        file.truncate(most + 1000)
    with pytest.raises(ValueError, match=rf"{name}: found {most + 1000} bytes, expected at most"):
        check_bundle(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokenizer.json", "found no tokenizer in it"),
        ("words.txt", "expected one lower-case word"),
        ("sampling.json", "broken JSON"),
        ("vq_seg.safetensors", "not safetensors"),
        ("gpt.safetensors", "not safetensors"),
    ],
)
def test_every_file_is_read(name: str, message: str, folder) -> None:
    (folder / name).write_bytes(b"NO")
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        check_bundle(folder)


def test_weights_that_are_missing_are_told(folder) -> None:
    (folder / "vq_img.safetensors").unlink()
    with pytest.raises(ValueError, match="vq_img.safetensors: found no such file"):
        check_bundle(folder)


def test_weights_of_another_model_are_not_larger_than_a_header(folder) -> None:
    values = json.loads((folder / "config.json").read_text())
    del values["vq_img"]
    (folder / "config.json").write_text(json.dumps(values))
    with open(folder / "vq_img.safetensors", "r+b") as file:
        file.truncate((1 << 26) + 1)
    with pytest.raises(ValueError, match="vq_img.safetensors: found .* as config.json describes"):
        check_bundle(folder)
