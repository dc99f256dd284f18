"""The build: its errors name the fix, and the packages it makes work in clean environments."""

import ast
import email
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from mas_fast.utils import native

ROOT = Path(__file__).resolve().parents[1]
SMOKE = """
import numpy, mas_fast, mas_fast.kernels
from mas_fast.utils import native
assert "site-packages" in mas_fast.__file__, mas_fast.__file__
token, kept = native.engine().sample(numpy.zeros((2, 5), numpy.float32), seed=1, top_k=2)
assert kept.sum(1).tolist() == [2, 2] and set(token.tolist()) <= {0, 1}
"""
SMOKE_TORCH = """
import torch
from mas_fast import ops
same = [ops.sample(torch.randn(3, 50), seed=2, impl=i).shape == (3,) for i in ("cpp", "reference")]
assert same == [True, True]
"""
SMOKE_NO_TORCH = """
try:
    native.load_torch_library()
except ImportError as error:
    assert "MAS_FAST_TORCH=1 pip install" in str(error), error
else:
    raise AssertionError("_torch must be absent")
try:
    import torch
except ImportError:
    pass
else:
    raise AssertionError("torch was installed")
"""


def command(*arguments: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    """Run to the end, output captured; inherited PYTHONPATH would hide a broken install."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MAS_FAST_TORCH")}
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=variables | env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def succeed(*arguments: object, cwd: Path = ROOT, **env: str) -> str:
    done = command(*arguments, cwd=cwd, **env)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def build_ext(tmp_path: Path, **env: str) -> str:
    """The output of a build that must fail before it compiles anything."""
    pytest.importorskip("setuptools")
    folders = ["--build-lib", tmp_path / "lib", "--build-temp", tmp_path / "temp"]
    done = command(
        sys.executable, "setup.py", "build_ext", *folders, **{"MAS_FAST_TORCH": "0"} | env
    )
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_missing_compiler_names_the_command(tmp_path: Path) -> None:
    output = build_ext(tmp_path, CXX="no-such-compiler")
    assert "found none of: no-such-compiler" in output
    assert "apt-get install g++" in output
    assert "found none of: c++, g++, clang++" in build_ext(tmp_path, CXX="", PATH=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "allowed"), [("MAS_FAST_TORCH", "0 or 1 or extra"), ("MAS_FAST_CUDA", "0 or 1")]
)
def test_switches(tmp_path: Path, name: str, allowed: str) -> None:
    assert f"{name}: found 'yes', expected {allowed}" in build_ext(tmp_path, **{name: "yes"})


def test_kernels_is_not_a_top_level_package() -> None:
    done = command(sys.executable, "-c", "import kernels")
    assert done.returncode != 0
    assert "import mas_fast.kernels" in done.stdout
    succeed(sys.executable, "-c", "import mas_fast.kernels")


# ---- packages --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("sdist")
    succeed(sys.executable, "setup.py", "-q", "egg_info", "-e", folder, "sdist", "-d", folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def builder(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a clean environment with what the build with torch requires, asked for as pip
    does. pip would make such an environment for the build alone, and a test installs into this one
    too: torch takes a minute each time."""
    scripts = clean(tmp_path_factory.mktemp("builder"))
    pip = [scripts / "python", "-m", "pip", "install"]
    written = re.search(r"^requires = (\[.*?\])", (tree / "pyproject.toml").read_text(), re.M)
    succeed(*pip, *ast.literal_eval(written[1]), cwd=tree)
    ask = "from setuptools import build_meta; print(build_meta.get_requires_for_build_wheel())"
    answer = succeed(scripts / "python", "-c", ask, cwd=tree, MAS_FAST_TORCH="1")
    succeed(*pip, *ast.literal_eval(answer.splitlines()[-1]), cwd=tree)
    return scripts


@pytest.fixture(scope="module")
def wheels(tree: Path, builder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two wheels from one tree, so that the second meets the first's leavings: "extra" built with
    torch, in `builder`, "0" without, where pip itself makes the environment of the build."""
    folder, wheels = tmp_path_factory.mktemp("packages"), {}
    here = ["--no-build-isolation", "--check-build-dependencies"]
    path = f"{builder}{os.pathsep}{os.environ['PATH']}"  # cmake and ninja, as pip sets it
    for torch, python, more, env in (
        ("extra", builder / "python", here, {"PATH": path}),
        ("0", sys.executable, [], {}),
    ):
        target = folder / torch
        pip_wheel = [python, "-m", "pip", "wheel", "--no-deps", "-w", target, *more, tree]
        succeed(*pip_wheel, cwd=folder, MAS_FAST_TORCH=torch, **env)
        (wheels[torch],) = target.glob("*.whl")
    return wheels


def requirements(wheel: Path) -> set[str]:
    """The names that a wheel requires outside its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    required = metadata.get_all("Requires-Dist")
    return {line.split(">")[0].split("<")[0] for line in required if "extra ==" not in line}


def clean(folder: Path) -> Path:
    """The scripts of a new environment."""
    venv.create(folder, with_pip=True)
    return folder / "bin"


def install(wheel: Path, scripts: Path) -> None:
    """With what it requires."""
    succeed(scripts / "python", "-m", "pip", "install", wheel, cwd=scripts)


@pytest.mark.slow
def test_wheel_contents(wheels: dict[str, Path]) -> None:
    for torch, wheel in wheels.items():
        names = zipfile.ZipFile(wheel).namelist()
        libraries = {name.split(".")[0] for name in names if name.endswith(".so")}
        more = {"mas_fast/_torch"} if torch == "extra" else set()
        assert libraries == {"mas_fast/_engine"} | more
        assert not any("torch" in name for name in requirements(wheel))
        assert requirements(wheel) >= {"numpy", "safetensors", "typer", "rich", "tqdm"}
        typed = {
            "mas_fast/py.typed",
            "mas_fast/__init__.pyi",
            "mas_fast/ops/reference/__init__.pyi",
        }
        assert {"mas_fast/kernels/__init__.py", *typed} <= set(names)
        top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
        assert top == {"mas_fast"}


def test_a_checkout_requires_torch(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    succeed(sys.executable, "setup.py", "-q", "egg_info", "-e", tmp_path, MAS_FAST_TORCH="1")
    (file,) = tmp_path.glob("*.egg-info/requires.txt")
    always, *extras = re.split(r"\n\[(.*)\]\n", file.read_text())
    assert "mas_fast[torch]" in always.split()
    extra = dict(zip(extras[::2], extras[1::2], strict=True))["torch"].split()
    assert any(re.match("torch[<>]", name) for name in extra)


@pytest.mark.slow
def test_package_without_torch(wheels: dict[str, Path], tmp_path: Path) -> None:
    scripts = clean(tmp_path / "env")
    install(wheels["0"], scripts)
    succeed(scripts / "python", "-c", SMOKE + SMOKE_NO_TORCH, cwd=tmp_path)
    assert "not built" in succeed(scripts / "mas-fast", "info", cwd=tmp_path)


@pytest.mark.slow
def test_package_from_sdist(wheels: dict[str, Path], builder: Path, tmp_path: Path) -> None:
    install(wheels["extra"], builder)
    succeed(builder / "python", "-c", SMOKE + SMOKE_TORCH, cwd=tmp_path)
    assert "sample on cpu  cpp" in succeed(builder / "mas-fast", "info", cwd=tmp_path)


def test_sources_use_no_macro_that_the_lowest_torch_lacks() -> None:
    """Without nvcc and the headers of 2.11 nothing else here would tell: 2.13 has more macros."""
    known = {"STABLE_TORCH_LIBRARY", "STABLE_TORCH_LIBRARY_FRAGMENT", "STABLE_TORCH_LIBRARY_IMPL"}
    known |= {"STD_CUDA_CHECK", "STD_TORCH_CHECK", "TORCH_BOX"}
    known |= {"TORCH_ERROR_CODE_CHECK"}
    used = set()
    for file in [*ROOT.glob("csrc/*.*"), *ROOT.glob("csrc/cuda/*")]:
        used |= set(
            re.findall(r"\b(?:STABLE_TORCH|STD_TORCH|STD_CUDA|TORCH)_\w+", file.read_text())
        )
    assert "STD_TORCH_CHECK" in used
    assert used <= known
    promised = ("setup.py", "pyproject.toml", "mas_fast/utils/native.py")
    assert all(f'"{native.TORCH}"' in (ROOT / name).read_text() for name in promised)
