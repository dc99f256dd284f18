"""Bundles by name, from a hub of this process: found, kept, refused, and put there."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import mas_fast
from hub import Hub, serving
from mas_fast.bundle import SHIPPED, find_bundle, push_to_hub
from mas_fast.bundle.config import FILES
from mas_fast.bundle.hub import is_name, title
from mas_fast.onnx.files import GRAPHS, REPORT_FILE, file_name

constants = pytest.importorskip("huggingface_hub.constants")
NAME = "somebody/tiny"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serving() as hub:
        connect(monkeypatch, hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", "hf_none")
        monkeypatch.chdir(tmp_path)
        yield hub


def connect(monkeypatch, address: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def files(tiny_bundle) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in tiny_bundle.iterdir()}


@pytest.fixture
def there(hub, files) -> Hub:
    """The hub with the tiny bundle, and other files beside it."""
    hub.commit(NAME, files | {"README.md": b"# tiny", "code.py": b"raise SystemExit"})
    return hub


def refuses(*words: str, name: str = NAME) -> str:
    """What `find_bundle` says: one line that begins with the name and has these words."""
    with pytest.raises(ValueError) as caught:
        find_bundle(name)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


# ---------------------------------------------------------------------- names


def test_none_is_the_bundle_that_comes_along() -> None:
    assert find_bundle(None) == SHIPPED


@pytest.mark.parametrize("name", ["a/b", "a-b/c.d_e", "a/b@main", "a/b@refs/pr/1", "1/2@v1.0"])
def test_names_of_repositories(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a/b/c",
        "/a",
        "a/",
        "./a",
        "../a",
        "~/a",
        "a/..",
        "a/b@",
        "a/b c",
        "a/b--c",
        "C:/a",
        "é/a",
    ],
)
def test_other_paths_are_no_names(name: str, hub: Hub) -> None:
    assert not is_name(name)
    assert find_bundle(name) == Path(name)
    assert not hub.asked


def test_a_folder_comes_before_a_repository(there: Hub, tmp_path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    assert find_bundle(NAME) == Path(NAME)
    assert not there.asked


def test_a_path_that_is_not_there_is_told_as_ever() -> None:
    with pytest.raises(ValueError, match="^nowhere: not a bundle: found no config.json"):
        mas_fast.load("nowhere")


def test_the_title_is_that_of_the_folder_or_the_repository(there: Hub, tmp_path) -> None:
    assert title(find_bundle(NAME)) == NAME
    assert title(tmp_path / "mine") == "mine"
    assert title(Path("/")) == ""


def test_the_table_has_all_onnx_files() -> None:
    names = {file_name(*graph) for graph in GRAPHS} | {REPORT_FILE}
    assert {f"onnx/{name}" for name in names} == {f for f in FILES if f.startswith("onnx/")}


# ---------------------------------------------------------------------- download


def test_only_what_a_bundle_has_is_downloaded(there: Hub, files) -> None:
    folder = find_bundle(NAME)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == files
    assert sorted(there.downloads()) == sorted(files)


def test_what_is_kept_is_not_downloaded_again(there: Hub) -> None:
    folder = find_bundle(NAME)
    there.asked.clear()
    assert find_bundle(NAME) == folder
    assert not there.downloads()


def test_a_new_commit_is_downloaded_and_an_old_one_has_its_name(there: Hub, files) -> None:
    first = find_bundle(NAME)
    there.tags[NAME] = {"v1": 0}
    there.commit(NAME, files | {"words.txt": b"zebra\n"})
    second = find_bundle(NAME)
    assert (second / "words.txt").read_bytes() == b"zebra\n"
    assert find_bundle(f"{NAME}@v1") == find_bundle(f"{NAME}@{first.name}") == first


def test_an_interrupted_download_goes_on_where_it_was(there: Hub, files, monkeypatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    there.broken.add("gpt.safetensors")
    folder = find_bundle(NAME)
    assert (folder / "gpt.safetensors").read_bytes() == files["gpt.safetensors"]
    chunks = len(files["gpt.safetensors"]) // 2 // 1000
    assert there.ranges == [f"gpt.safetensors bytes={chunks * 1000}-"]


def test_a_download_that_fails_keeps_what_is_whole(there: Hub, files) -> None:
    there.refused.add("vq_img.safetensors")
    refuses(NAME, "500", "the same command goes on")
    there.refused.clear()
    done = set(there.downloads()) - {"vq_img.safetensors"}
    there.asked.clear()
    find_bundle(NAME)
    assert "config.json" in done
    assert not done & set(there.downloads())


# ---------------------------------------------------------------------- without the hub


def test_a_copy_is_used_offline(there: Hub, monkeypatch, recwarn) -> None:
    folder = find_bundle(NAME)
    there.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_bundle(NAME) == folder
    assert not there.asked
    assert not recwarn


def test_offline_without_a_copy(there: Hub, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refuses("no whole copy", str(constants.HF_HUB_CACHE), "HF_HUB_OFFLINE is set", "unset it")


def test_without_a_network_a_copy_is_used_and_told(there: Hub, monkeypatch) -> None:
    folder = find_bundle(NAME)
    connect(monkeypatch, "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="took the copy in the cache .*127.0.0.1:9.*refused"):
        assert find_bundle(NAME) == folder


def test_without_a_network_or_a_copy(hub: Hub, monkeypatch) -> None:
    connect(monkeypatch, "http://127.0.0.1:9")
    refuses("no whole copy", "http://127.0.0.1:9", "try again when it can be reached")


def test_part_of_a_copy_is_not_taken_offline(there: Hub, monkeypatch) -> None:
    there.refused.add("vq_img.safetensors")
    refuses("500")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refuses("no whole copy")


def test_without_the_library(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"^somebody/tiny: .*pip install .*huggingface_hub"):
        find_bundle(NAME)


# ---------------------------------------------------------------------- what is refused


def test_a_name_that_is_no_repository(hub: Hub) -> None:
    refuses("no such folder, and no such repository at", hub.address, "hf auth login")


def test_a_revision_that_is_none(there: Hub) -> None:
    refuses(f"{NAME}@v9: found no revision v9", "a branch, a tag or a commit", name=f"{NAME}@v9")


def test_a_repository_without_a_bundle(hub: Hub) -> None:
    hub.commit(NAME, {"README.md": b"", "model.safetensors": b""})
    refuses("without config.json", "mas-fast push")
    assert not hub.downloads()


@pytest.mark.parametrize("file", ["pytorch_model.bin", "old/gpt.PT", "a.pkl", "last.ckpt"])
def test_a_repository_with_a_pickle(there: Hub, files, file: str) -> None:
    there.commit(NAME, files | {file: b""})
    refuses(file, "may be a program", "mas-fast import")
    assert not there.downloads()


def test_a_pickle_by_the_name_of_weights(there: Hub, files) -> None:
    there.commit(NAME, files | {"gpt.safetensors": pickle.dumps(print)})
    with pytest.raises(ValueError, match="gpt.safetensors: .*not safetensors"):
        mas_fast.load(NAME)


@pytest.mark.parametrize(
    ("file", "size"),
    [("config.json", 2 << 20), ("words.txt", 1 << 40), ("vq_img.safetensors", 1 << 40)],
)
def test_a_file_that_is_too_large_is_not_downloaded(there: Hub, file: str, size: int) -> None:
    there.sizes[file] = size
    refuses(f"{NAME}: {file}: found {size} bytes, expected at most")
    assert file not in there.downloads()


def test_a_config_of_something_else(there: Hub, files) -> None:
    there.commit(NAME, files | {"config.json": b'{"model_type": "bert"}'})
    with pytest.raises(
        ValueError, match=r"config.json: bundle: found unknown keys \['model_type'\]"
    ):
        find_bundle(NAME)
    assert there.downloads() == ["config.json"]


def test_a_link_out_of_the_cache(there: Hub, tmp_path) -> None:
    folder = find_bundle(NAME)
    secret = tmp_path / "secret.txt"
    secret.write_text("zebra\n")
    (folder / "words.txt").unlink()
    (folder / "words.txt").symlink_to(secret)
    with pytest.raises(ValueError, match=f"words.txt: found that it leads to {secret}"):
        find_bundle(NAME)


# ---------------------------------------------------------------------- push


def test_a_bundle_goes_there_and_comes_back(hub: Hub, tiny_bundle, files) -> None:
    address = push_to_hub(tiny_bundle, NAME, license="mit")
    (commit,) = hub.repositories[NAME]
    assert address == f"{hub.address}/{NAME}/commit/{hub.find(NAME, 'main')[0]}"
    assert set(commit) == {*files, "README.md"}
    model = mas_fast.load(NAME)
    assert model.name == NAME
    ours, theirs = (m.generate("a red house", seed=3) for m in (mas_fast.load(tiny_bundle), model))
    assert ours.images[0].tobytes() == theirs.images[0].tobytes()


def test_what_another_bundle_left_is_taken_out(hub: Hub, tiny_bundle, files) -> None:
    hub.commit(NAME, {"onnx/parity.json": b"{}", "sampling.json": b"{}", "mine.txt": b""})
    push_to_hub(tiny_bundle, NAME, license="mit")
    assert set(hub.repositories[NAME][-1]) == {*files, "README.md", "mine.txt"}


def test_nothing_else_of_the_folder_goes_there(hub: Hub, tiny_bundle, files, tmp_path) -> None:
    folder = copied(tmp_path, files | {"notes.txt": b"", "last.ckpt": b""})
    push_to_hub(folder, NAME, license="mit")
    assert set(hub.repositories[NAME][-1]) == {*files, "README.md"}


def copied(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_link_is_not_pushed(hub: Hub, files, tmp_path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("zebra\n")
    del files["words.txt"]
    folder = copied(tmp_path, files)
    (folder / "words.txt").symlink_to(secret)
    with pytest.raises(ValueError, match=f"words.txt: found that it leads to {secret}"):
        push_to_hub(folder, NAME, license="mit")
    assert not hub.asked


@pytest.mark.parametrize("name", ["tiny", "a/b/c", f"{NAME}@main"])
def test_a_name_that_cannot_be_pushed_to(hub: Hub, tiny_bundle, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: found no name of a repository"):
        push_to_hub(tiny_bundle, name, license="mit")


def test_a_push_that_is_refused_is_one_line(hub: Hub, tiny_bundle, monkeypatch) -> None:
    connect(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=f"^{NAME}: .*refused.*; nothing was changed there$"):
        push_to_hub(tiny_bundle, NAME, license="mit")


def test_both_commands_and_both_runtimes(hub: Hub, deployed, tmp_path) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}

    def run(*words: str, **others: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "mas_fast", *words]
        return subprocess.run(
            command, env=environment | others, cwd=tmp_path, capture_output=True, text=True
        )

    done = run("push", str(deployed), NAME, "--license", "apache-2.0")
    assert done.stdout.startswith(f"written: {hub.address}/{NAME}/commit/"), done.stderr
    assert any(name.startswith("onnx/") for name in hub.repositories[NAME][-1])
    by_name = ["generate", "a red house", "--runtime", "onnx", "--model"]
    done = run(*by_name, NAME, "-o", "first.png")
    assert done.returncode == 0, done.stderr
    done = run(*by_name, f"{NAME}@main", "-o", "second.png", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    done = run(*by_name, "nobody/none")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("mas-fast: nobody/none: found no such folder")
