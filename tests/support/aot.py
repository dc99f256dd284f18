"""Triton kernels compiled ahead of time, without a GPU, and what the assembler says of them.

Whoever imports this is skipped where there is no Triton, or where it only interprets.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")
if triton.knobs.runtime.interpret:
    pytest.skip("TRITON_INTERPRET=1: nothing is compiled", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402


@dataclass(frozen=True)
class GPU:
    """Limits of an architecture (CUDA programming guide, "Compute Capabilities"): bytes of shared
    memory of a program and of a multiprocessor, and a multiprocessor's threads and programs. And
    its instruction that multiplies matrices."""

    program_shared: int
    shared: int
    threads: int
    programs: int
    tensor_cores: str


GPUS = {
    80: GPU(163 << 10, 164 << 10, 2048, 32, "mma.sync"),
    86: GPU(99 << 10, 100 << 10, 1536, 16, "mma.sync"),
    89: GPU(99 << 10, 100 << 10, 1536, 24, "mma.sync"),
    90: GPU(227 << 10, 228 << 10, 2048, 32, "wgmma.mma_async"),
    100: GPU(227 << 10, 228 << 10, 2048, 32, "tcgen05.mma"),
    120: GPU(99 << 10, 100 << 10, 1536, 24, "mma.sync"),
}
USUAL = (80, 90)
OTHERS = [pytest.param(c, marks=pytest.mark.slow) for c in GPUS if c not in USUAL]
CAPABILITIES = [*USUAL, *OTHERS]
TENSOR_CORES = ("tcgen05.mma", "wgmma.mma_async", "mma.sync")  # the newest first


@dataclass(frozen=True)
class Compiled:
    """A kernel for one architecture.

    `registers` are those of a thread, `stack` its bytes of local memory: what was spilled. `shared`
    are the bytes of a program, `tensor_memory` its columns of the 512 that sm_100 has.
    """

    capability: int
    threads: int
    registers: int
    stack: int
    shared: int
    tensor_memory: int
    ttgir: str
    ptx: str
    cubin: bytes

    @property
    def programs(self) -> int:
        """How many programs a multiprocessor holds at once."""
        gpu, warps = GPUS[self.capability], self.threads // 32
        # Each of four schedulers has 16,384 registers; a warp takes them in units of 256.
        per_warp = -(-self.registers * 32 // 256) * 256
        limits = [gpu.programs, gpu.threads // self.threads, 4 * (16384 // per_warp) // warps]
        limits.append(gpu.shared // (self.shared + 1024))  # 1 KiB of each is the system's
        if self.tensor_memory:
            limits.append(512 // self.tensor_memory)
        return min(limits)

    @property
    def fits(self) -> bool:
        """Whether the architecture can launch it."""
        return self.shared <= GPUS[self.capability].program_shared and self.programs > 0

    @property
    def tensor_cores(self) -> str | None:
        """The instruction that multiplies matrices: "tcgen05.mma", "wgmma.mma_async", "mma.sync"
        or None."""
        return next((each for each in TENSOR_CORES if each in self.ptx), None)

    @cached_property
    def sass(self) -> str:
        return _cuobjdump("-sass", self.cubin)


@dataclass(frozen=True)
class Kernel:
    """A kernel as its launcher starts it.

    `types` are those of its arguments, by name; names that it does not have count for nothing, and
    `constants` come first. `options` are num_warps, num_stages and the like. Pointers are multiples
    of 16, and so are the integers `aligned`.
    """

    function: object
    types: dict[str, str]
    constants: dict[str, int | bool | None]
    options: dict[str, int | bool]
    aligned: tuple[str, ...] = ()

    def compile(self, capability: int) -> Compiled:
        names = self.function.arg_names
        constants = {(i,): self.constants[n] for i, n in enumerate(names) if n in self.constants}
        types = {n: "constexpr" if n in self.constants else self.types[n] for n in names}
        attributes = {
            (i,): [["tt.divisibility", 16]]
            for i, n in enumerate(names)
            if types[n].startswith("*") or (n in self.aligned and (i,) not in constants)
        }
        source = ASTSource(self.function, types, constants, attributes)
        target = GPUTarget("cuda", capability, 32)
        found = triton.compile(source, target=target, options=self.options)
        usage = _cuobjdump("-res-usage", found.asm["cubin"])
        used = {key: int(n) for key, n in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage)}
        return Compiled(
            capability=capability,
            threads=32 * found.metadata.num_warps,
            registers=used["REG"],
            stack=used["STACK"] + used["LOCAL"],
            shared=found.metadata.shared,
            tensor_memory=getattr(found.metadata, "tmem_size", None) or 0,
            ttgir=found.asm["ttgir"],
            ptx=found.asm["ptx"],
            cubin=found.asm["cubin"],
        )


def _cuobjdump(option: str, cubin: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        command = [triton.knobs.nvidia.cuobjdump.path, option, file]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
