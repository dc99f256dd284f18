"""The commands of the pages work as they stand. Their code blocks are pasted, in the order of
mkdocs.yml, into a folder that looks like a fresh clone, with a little data (slow); the options of
all are checked.

Above a block may stand

    <!-- test: skip (why) -->                               its commands are only checked
    <!-- test: with --steps 2 for train; with ... -->       words that are added to `mas-fast train`

What other programs do is not ours to run here: of pip, pytest, torchrun and scripts it is checked
that what they name is there."""

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from mas_fast import cli

ROOT = Path(__file__).resolve().parents[1]
NAVIGATION = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2].partition("\n\n")[0]
CARD = "mas_fast/assets/storybook/README.md"
DOCS = [f"docs/{page}" for page in re.findall(r": (\S+\.md)$", NAVIGATION, re.M)]
PAGES = ["README.md", CARD, "CONTRIBUTING.md", *DOCS, "benchmarks/README.md"]
BLOCK = re.compile(r"^(?:<!-- test: ([^\n]+) -->\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
INLINE = re.compile(r"`(mas-fast [^`]*)`")
LIMIT = 600  # seconds of a command


@dataclass
class Block:
    """Of code in a page: its language, text, and what stands above it."""

    mark: str
    language: str
    text: str

    @property
    def skipped(self) -> bool:
        return self.mark.startswith("skip")

    def commands(self) -> list[list[str]]:
        """The words of each command of the shell, with those that the mark adds."""
        found = []
        for line in self.text.replace("\\\n", " ").splitlines():
            words: list[str] = []
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&")
            lexer.whitespace_split = True
            for word in lexer:
                if word == "&&":
                    found.append(words)
                    words = []
                else:
                    words.append(word)
            found += [words] * bool(words)
        return [[*words, *self._added(words)] for words in found]

    def _added(self, words: list[str]) -> list[str]:
        if self.skipped:
            return []
        for rule in filter(None, self.mark.split(";")):
            added, to = re.fullmatch(r"\s*with (.+) for (.+)", rule).groups()
            if any(
                f"{' '.join(words)} ".startswith(f"mas-fast {x.strip()} ") for x in to.split(",")
            ):
                return shlex.split(added)
        return []


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    found = [Block(mark or "", *rest) for mark, *rest in BLOCK.findall(text)]
    assert len(found) == text.count("\n```") // 2, f"{page}: a block is not understood"
    return [block for block in found if block.language in ("", "bash", "python")]


# ---------------------------------------------------------------------------- what is checked


def find_command(words: list[str]):
    """The command that `mas-fast WORDS` runs, and the rest of the words."""
    command, rest = typer.main.get_command(cli.app), list(words)
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands or rest[0].startswith("-"), f"no command {rest[0]!r}"
        if rest[0].startswith("-"):
            break
        command = command.commands[rest.pop(0)]
    return command, rest


def check_mas_fast(words: list[str]) -> None:
    """AssertionError, or click's own, unless the command line is understood."""
    command, rest = find_command(words)
    if {"--help", "--version"} & set(rest):
        return
    context = command.make_context("mas-fast", rest)
    if not context.ignore_unknown_options:
        return
    from mas_fast.cli.train import _chosen
    from mas_fast.training.all_settings import AllSettings
    from mas_fast.training.gpt_settings import GPTSettings
    from mas_fast.training.settings import _overrides
    from mas_fast.training.vq import ImgSettings, SegSettings

    settings = {"vq-seg": SegSettings, "vq-img": ImgSettings, "gpt": GPTSettings}
    kind = settings.get(command.name, AllSettings)
    name, config = context.params["name"], context.params["config"]
    placeholder = name in ("CONFIG", "FILE")
    _, typed = _chosen(command.name, context, "small" if placeholder else name, config)
    for key, _ in _overrides(typed):
        assert key.split(".")[0] in kind.__dataclass_fields__, f"{command.name} has no {key}"


def check_pip(words: list[str]) -> None:
    """That the extras are ours, and torch's versions those that are built for."""
    for word in words:
        if extras := re.fullmatch(r"(?:\.|mas_fast)\[(.+)\]", word):
            text = (ROOT / "pyproject.toml").read_text()
            for name in extras[1].split(","):
                assert re.search(rf"^{name} = \[", text, re.M), f"no extra {name!r}"
        if word.startswith("torch"):
            assert f'TORCH = "{word}"' in (ROOT / "setup.py").read_text()


def check(words: list[str]) -> None:
    words = words[next(i for i, word in enumerate(words) if "=" not in word.split("-")[0]) :]
    program = words[0]
    if program == "mas-fast":
        check_mas_fast(words[1:])
    elif program == "torchrun":
        check_mas_fast(words[words.index("mas-fast") + 1 :])
    elif program == "pip":
        check_pip(words)
    elif words[:3] == ["python", "-m", "benchmarks"]:
        assert (ROOT / "benchmarks" / f"test_{words[3]}.py").is_file(), f"no subject {words[3]!r}"
    elif program == "cmake":
        options = re.findall(r"-D(MAS_FAST_\w+)=", " ".join(words))
        text = (ROOT / "CMakeLists.txt").read_text()
        assert all(option in text for option in options), options
    elif program == "docker":
        assert set(re.findall(r"--target (\w+)", " ".join(words))) <= set(
            re.findall(r" AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
        )
    elif words[:2] == ["serve", "run"]:
        module, _, name = words[2].partition(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert re.search(rf"^def {name}\(", source, re.M), words[2]
        assert all(re.search(rf"^    {w.split('=')[0]}: ", source, re.M) for w in words[3:]), words
    elif "/" in program:
        assert os.access(ROOT / program, os.X_OK), f"{program} is no program of the repository"
    else:
        assert program in ("pytest", "ctest", "apt-get", "pre-commit"), f"{program}: who is that?"
        paths = [word for word in words[1:] if word.endswith("/")]
        assert all((ROOT / path).is_dir() for path in paths), paths


def check_python(text: str) -> None:
    """That what it imports is there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


@pytest.mark.parametrize("page", PAGES)
def test_all_commands_are_understood(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            check_python(block.text)
            continue
        for words in block.commands():
            try:
                check(words)
            except Exception as error:
                raise AssertionError(f"{page}: {shlex.join(words)}: {error}") from error


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_are_there(page: str) -> None:
    for line in INLINE.findall((ROOT / page).read_text("utf-8")):
        command, rest = find_command(shlex.split(line)[1:])
        known = {name for option in command.params for name in option.opts} | {"--help"}
        typed = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert typed <= known or command.name in ("vq-seg", "vq-img", "gpt", "all"), line


def leaves(command=None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    command = command or typer.main.get_command(cli.app)
    below = getattr(command, "commands", None)
    if below is None:
        return [path]
    return [leaf for name, part in below.items() for leaf in leaves(part, (*path, name))]


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_the_help_of_each_command_has_examples_that_work(path: tuple[str, ...]) -> None:
    command, _ = find_command(list(path))
    paragraphs = [" ".join(part.split()) for part in command.help.split("\n\n")]
    starts = tuple(f"{word}mas-fast {' '.join(path)}" for word in ("", "Example: "))
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith(starts)]
    assert examples, f"{path} has no example"
    for example in examples:
        check_mas_fast(shlex.split(example)[1:])


# ---------------------------------------------------------------------------- what is run


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A folder with what a clone has, and the data that the pages speak of."""
    folder = tmp_path_factory.mktemp("readme") / "mas_fast"
    folder.mkdir()
    for name in ("configs", "docs", "benchmarks", "examples", "LICENSE", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    coco = ROOT / "tests" / "fixtures" / "coco"
    shutil.copytree(coco, folder / "coco")
    shutil.move(folder / "coco" / "annotations" / "captions_val2017.json.gz", folder)
    (folder / "photos").mkdir()
    for n, photo in enumerate(sorted(coco.glob("val2017/*.jpg"))[:6]):
        shutil.copy(photo, folder / "photos")
        if n < 2:
            shutil.copy(photo, folder / f"{'ab'[n]}.jpg")
    return folder


def run(words: list[str], folder: Path) -> str:
    """What the command prints. AssertionError unless it ends well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "120"}
    start = time.perf_counter()
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    print(f"{time.perf_counter() - start:6.1f} s  {shlex.join(words)[:100]}")
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    assert "\r" not in done.stderr  # no bars in a log
    return done.stdout


def test_the_first_command_of_the_readme(clone) -> None:
    first = next(words for words in blocks("README.md")[0].commands() if words[0] == "mas-fast")
    assert "written: out.png\n" in run(first, clone)
    assert (clone / "out.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_blocks_as_they_stand(clone) -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.skipped:
                continue
            if block.language == "python":
                run([sys.executable, "-c", block.text], clone)
                continue
            for words in block.commands():
                if words[0] == "mas-fast":
                    run(words, clone)
    found = {file.name for file in (clone / "my-bundle").iterdir()}
    models = {"gpt.safetensors", "vq_seg.safetensors", "vq_img.safetensors"}
    assert models | {"config.json", "tokenizer.json"} <= found
