"""cli/ending.py: exit statuses, one line for whatever goes wrong, options by their names."""

import os
import signal
import subprocess
import sys
import time

import pytest
import typer

from mas_fast import cli
from mas_fast.bundle import SHIPPED
from mas_fast.cli.ending import Commands, as_typed, end


@pytest.fixture
def mistakes(tmp_path, monkeypatch) -> None:
    """In a folder of its own: an unfinished bundle, captions, a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    for name in ("b/tokenizer.json", "a.tsv", "file"):
        (tmp_path / name).touch()


COMMAND = [sys.executable, "-m", "mas_fast"]
ROOT = typer.main.get_command(cli.app)


def run(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, **options)


def ends(error: BaseException, *words: str, capsys=None):
    """The exit code where a command raises that."""
    app = typer.Typer(cls=Commands)

    @app.callback()
    def root() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        end(lambda: app(["fail"]))
    return stop.value.code


def test_statuses() -> None:
    assert run("--version").returncode == 0
    done = run("generate", " ")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mas-fast: caption 1: found ' ', expected some words\n"
    for words in (["paint"], ["generate"], ["generate", "x", "--seed", "1.5"], ["info", "--x"]):
        assert run(*words).returncode == 2


def test_an_interrupt_is_130_and_one_line(capsys) -> None:
    assert ends(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "mas-fast: interrupted\n"
    assert ends(KeyboardInterrupt("49 of 100 pictures are finished")) == 130
    assert capsys.readouterr().err == "mas-fast: interrupted: 49 of 100 pictures are finished\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("found 3"), "found 3"),
        (ImportError("no skia"), "no skia"),
        (OSError(28, "No space left on device", "a.tar"), "[Errno 28] No space left on"),
        (MemoryError(), "not enough memory: close other programs, or ask for less at a time"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable to allocate 9 TiB): "),
        (RuntimeError("x DefaultCPUAllocator: can't allocate"), "not enough memory (x DefaultCPU"),
        (RuntimeError("CUDA error: out of memory\nmore"), "not enough memory (CUDA error: out of"),
        (ConnectionResetError("a worker is gone"), "a worker is gone"),
        (BrokenPipeError(32, "Broken pipe"), "[Errno 32] Broken pipe"),  # not of stdout
    ],
)
def test_errors_are_one_line(error, line) -> None:
    code = ends(error)
    assert code.startswith(f"mas-fast: {line}")
    assert "\n" not in code


def test_a_mistake_of_ours_is_a_traceback() -> None:
    with pytest.raises(RuntimeError, match="a mistake"):
        end(lambda: (_ for _ in ()).throw(RuntimeError("a mistake")))


def test_too_little_memory_of_torch() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(SystemExit, match="not enough memory"):
        end(lambda: torch.empty(1 << 50))


def test_a_reader_that_goes_away_is_no_complaint() -> None:
    for words in (["info"], ["--help"], ["data", "prepare", "--help"]):
        process = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        assert process.stderr.read() == b"", words
        assert process.wait() == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_complaint(closed) -> None:
    for words, status in (("--version", 0), ("train bpe no.txt -o no", 1), ("--nope", 2)):
        line = f"{sys.executable} -m mas_fast {words} {closed}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert done.returncode == status, words
        assert "Traceback" not in done.stderr, words


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_for_stdout(unbuffered) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "info"], env=environment, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "mas-fast: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("delay", [0.4, 1.5])
def test_ctrl_c_while_it_starts(tmp_path, delay) -> None:
    process = subprocess.Popen(
        [*COMMAND, "generate", "a red house", "-n", "500"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while b"_engine" not in _maps(process.pid) and b"numpy" not in _maps(process.pid):
        time.sleep(0.01)  # python itself ends with a traceback before our code runs
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Where it came into Python code that a library's C code ran, the interpreter ends itself by the
    # signal in place of our status. A shell says 130 of both.
    assert process.returncode in (130, -signal.SIGINT), err
    assert err.startswith("mas-fast: interrupted"), err
    assert err.count("\n") == 1, err
    for line in out.splitlines():
        assert (tmp_path / line.removeprefix("written: ")).is_file()


def _maps(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return file.read()
    except OSError:
        return b"_engine"


@pytest.mark.parametrize(
    ("line", "message", "shown"),
    [
        ("generate x --seed -1", "seed: found -1", "--seed: found -1"),
        ("generate x --seed=-1", "seed: found -1", "--seed: found -1"),
        ("generate x", "seed: found -1", "seed: found -1"),  # it was not typed
        ("generate x -n 0", "num_images: found 0", "--num-images: found 0"),
        ("generate x", "b/sampling.json: top_k: found 0", "b/sampling.json: top_k: found 0"),
        ("generate x --top-k 0", "a/top_k: found it", "a/top_k: found it"),
        (
            "train bpe a.tsv -o b",
            "a.tsv: expected vocab_size=16384: train with vocab_size <= 9",
            "a.tsv: expected --vocab-size 16384: train with --vocab-size <= 9",
        ),
        ("eval vq-seg b --data d --samples 0", "samples: found 0", "--samples: found 0"),
        ("data prepare a -o b", "per_shard: found 0", "--per-shard: found 0"),
        ("bench nothing", "subject: found 'nothing'", "subject: found 'nothing'"),
    ],
)
def test_options_are_named_as_they_are_typed(line, message, shown) -> None:
    assert as_typed(message, ROOT, line.split()) == shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "train vq-seg",
            "train vq-seg: found no CONFIG, expected a YAML file, or the name of one: ",
        ),
        ("train gpt", "train gpt: found no CONFIG, expected a YAML file, or the name of one: "),
        (
            "train all",
            "train all: found no CONFIG, expected a YAML file, or the name of one: story",
        ),
        (
            "train vq-seg",
            "train vq-seg: found no CONFIG, expected a YAML file, or the name of one: "
            "small, storybook-1, storybook-128-1, storybook-128-2-decoder, storybook-2-decoder; "
            "for example `mas-fast train vq-seg small`",
        ),
        ("train vq-img huge", "huge: found no such file, expected one or a name of ["),
        (
            "train gpt tiny --config tiny",
            "train gpt: found 'tiny' and --config 'tiny', expected one",
        ),
        (
            "train gpt tiny --pairs 3",
            "--pairs: found 3 without --plan, expected it with --plan only",
        ),
        ("train gpt tiny --machine 1xH100", "--machine: found 1xH100 without --plan"),
        ("train bpe a.tsv -o file/bundle", "--output: file/bundle/tokenizer.json: found that "),
        ("train bpe b/tokenizer.json -o b", "--output: b/tokenizer.json: found an input of this"),
        ("eval vq-seg nowhere --data d", "nowhere: not a bundle: found no config.json, expected a"),
        ("eval vq-seg nowhere --data d --samples 0", "--samples: found 0, expected an integer in"),
        ("bench decode --json none/a.json", "--json: none/a.json: found no folder none"),
        ("bench decode --json b", "--json: b: found a folder, expected the name of a file"),
        ("bench nothing", "subject: found 'nothing', expected one of ["),
        ("eval storybook --captions 1", "--captions: found 1, expected an integer >= 2"),
        ("eval storybook --seed -1", "--seed: found -1, expected an integer in 0.."),
        ("eval storybook --threads 999", "--threads: found 999, expected 0 (all) to"),
        ("eval storybook --json none/a.json", "--json: none/a.json: found no folder none"),
        ("eval storybook --keep file", "--keep: file/captions.txt: found no folder file"),
        ("eval storybook b", "b: not a bundle: found no config.json, only ['tokenizer.json']"),
        ("export onnx b -o c", "b: not a bundle: found no config.json"),
        ("export int4 b -o c", "b: not a bundle: found no config.json"),
        ("export int4 b -o b", "b: found an output that is the input b, expected a folder outside"),
        ("export onnx {shipped} -o c --part middle", "--part: found 'middle', expected one of"),
        ("import none.ckpt -o c", "none.ckpt: found no such file, expected a checkpoint"),
        ("import b -o b", "--output: found the input b, expected another folder"),
        ("import b/tokenizer.json -o b", "--output: b/tokenizer.json: found an input of this"),
        ("encode {shipped}/README.md -o a.png", "a.png: found the suffix '.png', expected"),
        ("encode none.png a.tsv", "none.png: found no such file, expected a picture"),
        ("encode a.tsv --model b", "b: not a bundle: found no config.json"),
        ("generate x --model b", "b: not a bundle: found no config.json, only ['tokenizer.json'],"),
    ],
)
def test_mistakes_are_one_line(mistakes, monkeypatch, capsys, words, message) -> None:
    monkeypatch.setattr(sys, "argv", ["mas-fast", *words.format(shipped=SHIPPED).split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code.startswith(f"mas-fast: {message}"), stop.value.code
    assert "\n" not in stop.value.code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        "train vq-seg",
        "train gpt huge",
        "eval vq-img b --data d",
        "eval storybook --captions 1",
        "export onnx b -o c",
        "export int4 b -o c",
        "encode a.tsv --model b",
        "generate x --model b",
        "generate x --seed -1",
    ],
)
def test_mistakes_are_found_without_torch(mistakes, words) -> None:
    block = "import sys; sys.modules['torch'] = None; from mas_fast.cli import main; main()"
    command = [sys.executable, "-c", block, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert "found" in done.stderr, done.stderr
    assert "torch" not in done.stderr, done.stderr
