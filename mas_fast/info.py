"""What runs here, and why a fast path is off: `mas-fast info`. Works without torch."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from mas_fast.utils import cores, native
from mas_fast.version import __version__

# The ladder of csrc/core/isa.h for this kind of processor, and what each step speeds up.
ISAS = {"generic": "any processor"}
if platform.machine().lower() in ("aarch64", "arm64"):
    ISAS |= {
        "neon": "int8 and int4 by NEON",
        "neon_dotprod": "int8 dot products",
        "neon_i8mm": "int8 matrix products, bf16 dot products",
    }
else:
    ISAS |= {
        "avx2": "8 floats at a time",
        "avx512": "16 floats at a time",
        "avx512_vnni": "int8 dot products",
        "avx512_bf16": "bf16 dot products",
        "amx": "tiles: many rows a pass",
    }


def collect() -> dict:
    """Collect everything that `mas-fast info` prints, as plain JSON types.

    Returns:
        A dict with these keys.

        versions: version or None, by package.
        cpu: name, cores, threads and instruction sets.
        gpus: one dict for each.
        libraries: {built, problem}, by name.
        ops: implementation by device, by op.
        off: the fast paths that are not in use, each {path, why}.
    """
    problems = {name: native.problem(name) for name in native.LIBRARIES}
    torch_problem = _torch_problem()
    gpus, gpu_problem = _gpus(torch_problem)
    ops, ops_off = _ops(torch_problem, problems["_torch"], gpu_problem)
    cpu, cpu_off = _cpu(problems["_engine"])
    return {
        "versions": _versions(),
        "cpu": cpu,
        "gpus": gpus,
        "libraries": {
            name: {"built": _built(name), "problem": why} for name, why in problems.items()
        },
        "ops": ops,
        "off": cpu_off + ops_off,
    }


def render(facts: dict) -> str:
    """Format the facts for a person, one a line.

    Args:
        facts: what `collect` returned.

    Returns:
        The text.
    """
    cpu, lines = facts["cpu"], []

    def section(title: str, rows: list[tuple[str, str]]) -> None:
        width = max((len(name) for name, _ in rows), default=0)
        lines.extend(["", title, *(f"  {name:{width}}  {text}" for name, text in rows)])

    section("versions", [(k, v or "not installed") for k, v in facts["versions"].items()])
    isas = [f"{name} (in use)" if name == cpu["isa"] else name for name in cpu["isas"]]
    section(
        "processor",
        [
            ("name", cpu["name"]),
            ("cores", f"{cpu['cores']}, {cpu['available']} available to this process"),
            ("torch threads", str(cpu["torch_threads"] or "-")),
            ("fp32 on a GPU", _fp32(cpu["fp32"])),
            ("instruction sets", ", ".join(isas) or "unknown"),
        ],
    )
    section(
        "GPUs",
        [
            (str(i), f"{gpu['name']}, sm_{gpu['sm']}, {gpu['memory_gib']} GiB")
            for i, gpu in enumerate(facts["gpus"])
        ]
        or [("none", "")],
    )
    section(
        "native libraries",
        [
            (name, "not built" if not it["built"] else "broken" if it["problem"] else "loaded")
            for name, it in facts["libraries"].items()
        ],
    )
    section(
        "implementations",
        [(f"{op} on {dev}", impl) for op, on in facts["ops"].items() for dev, impl in on.items()]
        or [("none", "the ops need torch")],
    )
    section("fast paths that are off", [(it["path"], it["why"]) for it in facts["off"]])
    return "\n".join(line.rstrip() for line in lines[1:])


def _fp32(convolutions: str | None) -> str:
    """What fp32 means on a GPU, by torch's setting for convolutions."""
    if convolutions is None:
        return "-"
    elsewhere = "TF32 in convolutions" if convolutions == "tf32" else "whole"
    return f"whole in tokenizers and training; in what else is called: {elsewhere}"


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "mas_fast": __version__,
    }
    for name in ("numpy", "torch", "triton"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _built(library: str) -> bool:
    if library == "_engine":
        return importlib.util.find_spec("mas_fast._engine") is not None
    return native.TORCH_LIBRARY.exists()


def _torch_problem() -> str | None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        return f'{error}; run: pip install "{native.TORCH}"'
    return None


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cpu(engine_problem: str | None) -> tuple[dict, list[dict]]:
    """The processor, and the instruction sets that are not in use."""
    cpu: dict[str, Any] = {
        "name": _cpu_name(),
        "cores": os.cpu_count(),
        "available": cores.available(),
        "torch_threads": None,
        "fp32": None,
        "isas": [],
        "isa": None,
    }
    if _torch_problem() is None:
        import torch

        cpu["torch_threads"] = torch.get_num_threads()
        cudnn: Any = torch.backends.cudnn  # whose `conv` is not in torch's annotations
        cpu["fp32"] = cudnn.conv.fp32_precision
    if engine_problem is not None:
        return cpu, [{"path": "C++ engine", "why": engine_problem}]
    engine, off = native.engine(), []
    cpu["isas"] = list(engine.supported_isas())
    try:
        cpu["isa"] = engine.active_isa()
    except ValueError as error:  # a bad MAS_FAST_ISA
        off.append({"path": "C++ engine", "why": str(error)})
    names = list(ISAS)
    for name in names:
        if name not in cpu["isas"]:
            off.append({"path": f"{name} ({ISAS[name]})", "why": "this processor lacks it"})
        elif cpu["isa"] and names.index(name) > names.index(cpu["isa"]):
            why = f"MAS_FAST_ISA={os.environ['MAS_FAST_ISA']}; unset it"
            off.append({"path": f"{name} ({ISAS[name]})", "why": why})
    return cpu, off


def _gpus(torch_problem: str | None) -> tuple[list[dict], str | None]:
    """The GPUs that torch sees, and why there is none."""
    if torch_problem is not None:
        return [], torch_problem
    import torch

    if torch.version.cuda is None:
        return [], f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return [], "torch finds no CUDA device"
    gpus = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        gib = round(device.total_memory / 2**30, 1)
        gpus.append({"name": device.name, "sm": f"{device.major}{device.minor}", "memory_gib": gib})
    return gpus, None


def _ops(
    torch_problem: str | None, library_problem: str | None, gpu_problem: str | None
) -> tuple[dict[str, dict[str, str]], list[dict]]:
    """What `impl=None` means for each op on each device, and why it is the reference."""
    if torch_problem is not None:
        return {}, [{"path": "torch operators", "why": torch_problem}]
    from mas_fast import ops

    used = {"sample": {"cpu": ops.default_impl("cpu")}}
    off = [{"path": "torch operators", "why": library_problem}] if library_problem else []
    if gpu_problem:
        off.append({"path": "GPU", "why": gpu_problem})
    else:
        used["sample"]["cuda"] = ops.default_impl("cuda")
        if used["sample"]["cuda"] == "reference" and not library_problem:
            fix = "MAS_FAST_CUDA=1 pip install --no-build-isolation -e ."
            why = f"built without CUDA code; with nvcc installed run: {fix}"
            off.append({"path": "sample on cuda", "why": why})
    return used, off
