"""Build the native libraries with CMake; pyproject.toml holds everything else.

`pip install -e .`                       with build isolation
`pip install -e . --no-build-isolation`  with the torch, pybind11, cmake and ninja installed here
`MAS_FAST_TORCH=0 pip install ".[onnx]"` a package that neither contains nor requires torch;
                                         extra: it contains the operators, and requires torch by
                                         its extra "torch" alone, as the wheels that are published
`MAS_FAST_CUDA=0 pip install -e .`       no CUDA code even if torch has CUDA and nvcc is found;
                                         1: CUDA code, or an error that says what is missing
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
TORCH = "torch>=2.11,<2.16"


def switch(name: str, default: str, *allowed: str) -> str:
    """The value of an environment variable; `default` where it is unset or empty."""
    value = os.environ.get(name) or default
    if value not in (default, *allowed):
        raise SystemExit(f"error: {name}: found {value!r}, expected {' or '.join(allowed)}")
    return value


TORCH_IS = switch("MAS_FAST_TORCH", "1", "0", "1", "extra")
WITH_TORCH = TORCH_IS != "0"
CUDA = switch("MAS_FAST_CUDA", "AUTO", "0", "1")


def find_tool(name: str) -> str:
    """The path of a build tool, also where the interpreter's environment is not activated."""
    path = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if path is None:
        raise CompileError(f"mas_fast needs {name} to build its C++ code: pip install {name}")
    return path


def package_dir(name: str, requirement: str) -> Path:
    """The directory of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise CompileError(
            f'mas_fast needs {name} to build its C++ code: pip install "{requirement}"'
        )
    return Path(spec.origin).parent


def check_toolchain() -> None:
    compiler = os.environ.get("CXX", "").split()
    candidates = compiler[:1] or ["c++", "g++", "clang++"]
    if not any(map(shutil.which, candidates)):
        raise CompileError(
            f"mas_fast needs a C++20 compiler, found none of: {', '.join(candidates)}. "
            "Install one with: apt-get install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora)"
        )
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise CompileError(
            f"mas_fast needs Python's headers, found no {include / 'Python.h'}. "
            "Install them with: apt-get install python3-dev (Debian, Ubuntu), "
            "dnf install python3-devel (Fedora)"
        )


class CMakeBuild(build_ext):
    """Builds all extensions in one run of CMake."""

    def get_ext_filename(self, fullname: str) -> str:
        parts = fullname.split(".")
        if parts[-1] == "_torch":  # loaded by torch, not by Python: no interpreter in its name
            return os.path.join(*parts[:-1], "_torch.so")
        return super().get_ext_filename(fullname)

    def build_extensions(self) -> None:
        check_toolchain()
        cmake, build = find_tool("cmake"), ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
        arguments = self.cmake_arguments()
        # A cached compiler, path or switch of another configuration must not leak into this one.
        variables = ("CXX", "CXXFLAGS", "LDFLAGS", "CUDACXX", "CUDAARCHS", "CUDA_HOME", "CUDA_PATH")
        stamp = json.dumps(
            [arguments, {name: os.environ.get(name) for name in variables}], indent=1
        )
        stamp_file = build / "configuration.json"
        if not stamp_file.exists() or stamp_file.read_text() != stamp:
            shutil.rmtree(build, ignore_errors=True)
        self.run_cmake([cmake, "-S", str(ROOT), "-B", str(build), *arguments], "configure")
        stamp_file.write_text(stamp)
        self.run_cmake([cmake, "--build", str(build)], "build")
        target = Path(self.build_lib).resolve() / "mas_fast"
        self.remove_libraries(target)
        self.run_cmake(
            [cmake, "--install", str(build), "--prefix", str(target), "--strip"], "install"
        )

    def copy_extensions_to_source(self) -> None:
        self.remove_libraries(ROOT / "mas_fast")
        super().copy_extensions_to_source()

    def remove_libraries(self, folder: Path) -> None:
        """Without this, a library of an earlier build would end up in a MAS_FAST_TORCH=0 wheel."""
        for name in ("_engine", "_torch"):
            library = folder / Path(self.get_ext_filename(f"mas_fast.{name}")).name
            library.unlink(missing_ok=True)

    def cmake_arguments(self) -> list[str]:
        pybind11 = package_dir("pybind11", "pybind11>=2.13")
        arguments = [
            "-GNinja",
            f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DMAS_FAST_ENGINE=ON",
            f"-Dpybind11_DIR={pybind11 / 'share' / 'cmake' / 'pybind11'}",
            f"-DMAS_FAST_TORCH={'ON' if WITH_TORCH else 'OFF'}",
            f"-DMAS_FAST_CUDA={CUDA}",
        ]
        if WITH_TORCH:
            arguments.append(f"-DMAS_FAST_TORCH_DIR={package_dir('torch', TORCH)}")
        return arguments

    def run_cmake(self, command: list[str], step: str) -> None:
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError as error:
            raise CompileError(
                f"mas_fast: CMake's {step} step failed, its own error is above; "
                f"the command was: {' '.join(command)}"
            ) from error


setup(
    packages=[
        *find_packages(include=["mas_fast", "mas_fast.*"]),
        *("mas_fast.kernels", "mas_fast.configs"),
    ],
    package_dir={
        "mas_fast": "mas_fast",
        "mas_fast.kernels": "kernels",
        "mas_fast.configs": "configs",
    },
    package_data={
        "": ["*.pyi"],
        "mas_fast": ["assets/**", "py.typed"],
        "mas_fast.configs": ["*.yaml", "*/*"],
        "mas_fast.serve": ["page/*"],
    },
    ext_modules=[
        Extension(f"mas_fast.{name}", []) for name in ("_engine", "_torch")[: 1 + WITH_TORCH]
    ],
    cmdclass={"build_ext": CMakeBuild},
    setup_requires=[TORCH] if WITH_TORCH else [],  # read by pip as a requirement of the build
    install_requires=[
        "numpy>=1.24",
        "pillow>=10.1",
        "simplejpeg>=1.8",
        "safetensors>=0.4.3",
        "typer>=0.12",
        "rich>=13",
        "tokenizers>=0.20",
        "tqdm>=4.66",
    ]
    + (["mas_fast[torch]"] if TORCH_IS == "1" else []),
)
