"""Every Triton kernel compiles ahead of time for sm_80 and sm_90, within registers and memory."""

import re
import subprocess
from dataclasses import dataclass

import pytest

triton = pytest.importorskip("triton")
if triton.knobs.runtime.interpret:
    pytest.skip("TRITON_INTERPRET=1: nothing is compiled", allow_module_level=True)

from mas_fast.kernels import cross_entropy, launch, vq  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that one block may have


@dataclass(frozen=True)
class Kernel:
    """A kernel with the types of its arguments, in order, and its constants."""

    function: object
    tile: str
    arguments: dict[str, str]
    constants: dict[str, int | bool | None]
    registers: int
    fusion: bool = True

    def compile(self, capability: int):
        """Compiled with the launcher's tile, and D = 256 unless the constants say otherwise."""
        tile = launch.tile(self.tile, capability)
        blocks = {"BLOCK_N": tile.rows, "BLOCK_K": tile.columns or tile.rows, "BLOCK_D": 256}
        if self.tile in ("vq_statistics", "head_gradient"):
            blocks |= {"BLOCK_V": tile.rows, "BLOCK_D": tile.columns}
        names = self.function.arg_names
        constants = {n: v for n, v in (blocks | self.constants).items() if n in names}
        signature = {n: "constexpr" if n in constants else self.arguments[n] for n in names}
        # As the launcher finds them: pointers, and the sizes of codebook and head, are multiples of
        # 16.
        aligned = [
            n
            for n, kind in self.arguments.items()
            if n in names
            and n not in constants
            and (kind.startswith("*") or n in ("padded", "vocab", "width"))
        ]
        attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in aligned}
        source = ASTSource(self.function, signature, {(names.index(n),): v
                           for n, v in constants.items()}, attributes)  # fmt: skip
        options = tile.options | {"enable_fp_fusion": self.fusion}
        return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def kernels() -> dict[str, Kernel]:
    """Exact and fast for the product; the input's type for all that read the input."""
    names = ("rows", "count", "channels", "padded", "stride_n", "stride_d", "stride_k", "stride_c")
    known = dict.fromkeys(names, "i32") | {"unit": "fp32", "inverse": "fp32"}
    known |= dict.fromkeys(("packed", "codes"), "*fp16")
    known |= dict.fromkeys(("half_square", "norms", "ratio", "bound", "limit", "sums"), "*fp32")
    known |= dict.fromkeys(("best", "open_rows", "order", "counts", "ends"), "*i64")
    one = {"CHUNKS": 1}

    found = {}
    for mode, constants in {
        "fast": one | {"EXACT": False},
        "exact": one | {"EXACT": True},
        "exact-1024": {"CHUNKS": 16, "BLOCK_D": 64, "EXACT": True},
    }.items():
        found[f"nearest-{mode}"] = Kernel(vq.nearest_kernel, "nearest", known, constants, 255)
    for kind in ("fp32", "bf16"):
        typed = known | {"x": f"*{kind}", "codebook": f"*{kind}"}
        found |= {
            f"rescore-{kind}": Kernel(vq.rescore_kernel, "vq_rescore", typed, one, 168, False),
            f"pack-codes-{kind}": Kernel(vq.pack_codes_kernel, "vq_pack", typed, one, 168),
            f"pack-rows-{kind}": Kernel(vq.pack_rows_kernel, "vq_pack", typed, one, 168),
            f"statistics-{kind}": Kernel(vq.statistics_kernel, "vq_statistics", typed, {}, 128),
        }
    return found | cross_entropy_kernels()


def cross_entropy_kernels() -> dict[str, Kernel]:
    """A row in registers and one read twice; the chunks of a sum, in bf16 and in fp32."""
    known = {"ignored": "i64"} | dict.fromkeys(("rows", "vocab", "width"), "i32")
    known |= dict.fromkeys(("logits", "g", "x"), "*bf16") | {"scale": "*fp32", "nats": "*fp32"}
    known |= {"targets": "*i64", "rest": "*u8", "high": "*i16"}
    found = {}
    for whole in (True, False):
        constants = {"GRADIENT": True, "WHOLE": whole, "BLOCK_V": cross_entropy.WHOLE}
        kernel = cross_entropy.softmax_gradient_kernel
        found[f"softmax-{whole}"] = Kernel(kernel, "cross_entropy", known, constants, 128)
    for narrow in (True, False):
        typed = known | {"result": "*bf16" if narrow else "*fp32"}
        ends = ((True, False), (False, False), (False, True)) if narrow else ((False, False),)
        for first, last in ends:
            constants = {"NARROW": narrow, "FIRST": first, "LAST": last, "BLOCK_R": 64}
            constants |= {} if narrow else {"rest": None, "high": None}
            name = f"head-{typed['result'][1:]}-{first}-{last}"
            kernel = cross_entropy.head_gradient_kernel
            found[name] = Kernel(kernel, "head_gradient", typed, constants, 255)
    return found


KERNELS = kernels()


def resources(compiled, tmp_path) -> dict[str, int]:
    """Registers a thread and bytes of local memory, as the assembler counted them."""
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", cubin]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {key: int(value) for key, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}


@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("name", KERNELS)
def test_compiles_without_spilling(name, capability, tmp_path) -> None:
    kernel = KERNELS[name]
    compiled = kernel.compile(capability)
    used = resources(compiled, tmp_path)
    assert used["REG"] <= kernel.registers and used["LOCAL"] == 0 and used["STACK"] == 0
    assert compiled.metadata.shared <= SHARED[capability]
    if not kernel.fusion:  # what promises its bits has no fused multiply-add of doubles
        assert "fma.rn.f64" not in compiled.asm["ptx"]
    if name.startswith(("nearest", "head")):  # the product is on tensor cores
        assert ("wgmma.mma_async" if capability == 90 else "mma.sync") in compiled.asm["ptx"]
