"""Pictures where modules and names of POSIX are missing, as on Windows: they are taken away."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")

MODULES = ("fcntl", "resource", "pwd", "grp", "termios")
NAMES = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "fork")
# PyTorch asks for the system's name whether it has these, so that it keeps them here.
OTHER_NAMES = ("register_at_fork", "sched_getaffinity", "getuid", "geteuid")


def run(code: str, folder: Path, torch: bool = False) -> str:
    """What Python prints where those are missing; unless `torch`, torch is missing too."""
    modules, names = (MODULES, NAMES) if torch else ((*MODULES, "torch"), NAMES + OTHER_NAMES)
    without = f"""
import os, select, sys
for name in {modules}:
    sys.modules[name] = None
for name in {names}:
    delattr(os, name)
del select.poll
"""
    done = subprocess.run(
        [sys.executable, "-c", without + code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_taken_away_is_missing(tmp_path) -> None:
    code = """
try:
    import fcntl
except ImportError:
    print("none")
"""
    assert run(code, tmp_path) == "none\n"


@pytest.mark.parametrize("engine", ["cpp", "eager"])
def test_torch_paints(engine: str, tiny_bundle, tmp_path) -> None:
    code = f"""
import mas_fast
model = mas_fast.load({str(tiny_bundle)!r}, device="cpu", engine={engine!r})
model.generate("a red house", seed=3).save("there.png")
"""
    run(code, tmp_path, torch=True)
    import mas_fast

    model = mas_fast.load(tiny_bundle, device="cpu", engine=engine)
    model.generate("a red house", seed=3).save(tmp_path / "here.png")
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_command_paints(runtime: str, deployed, tiny_bundle, tmp_path) -> None:
    bundle = deployed if runtime == "onnx" else tiny_bundle
    words = ["generate", "a red house", "--runtime", runtime, "--model", str(bundle)]
    code = f"""
import mas_fast.cli
sys.argv = ["mas-fast", *{words}]
mas_fast.cli.main()
"""
    assert run(code, tmp_path, torch=runtime == "torch").startswith("written: out.png")
    assert (tmp_path / "out.png").is_file()


def test_the_pipeline_without_torch_paints(deployed, tmp_path) -> None:
    code = f"""
from mas_fast.deploy import Pipeline
Pipeline({str(deployed)!r}).generate("a red house").save("out.png")
"""
    run(code, tmp_path)
    assert (tmp_path / "out.png").is_file()


def test_files_are_replaced_and_folders_used_without_locks(tmp_path) -> None:
    code = """
from pathlib import Path
from mas_fast.utils.cores import available
from mas_fast.utils.files import replace_file
from mas_fast.utils.locks import lock
replace_file(Path("a.txt"), lambda file: file.write_text("old"))
replace_file(Path("a.txt"), lambda file: file.write_text("new"))
lock("folder", "busy")
print(Path("a.txt").read_text(), os.listdir("."), available() >= 1)
"""
    assert run(code, tmp_path) in (
        "new ['a.txt', 'folder'] True\n",
        "new ['folder', 'a.txt'] True\n",
    )


def test_a_name_that_stdout_has_no_letters_for(tiny_bundle, tmp_path) -> None:
    words = ["-m", "mas_fast", "export", "int4", str(tiny_bundle), "-o", "ma\u0142y"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "cp1252", "PATH": ""},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"written: ma\\u0142y ")
