"""Every Triton kernel compiles ahead of time for sm_80 and sm_90, within registers and memory."""

import re
import subprocess
from dataclasses import dataclass

import pytest

triton = pytest.importorskip("triton")
if triton.knobs.runtime.interpret:
    pytest.skip("TRITON_INTERPRET=1: nothing is compiled", allow_module_level=True)

from mas_fast.kernels import attention, cross_entropy, launch, vq, vq_pack  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that one block may have


@dataclass(frozen=True)
class Kernel:
    """A kernel with the types of its arguments, in order, and its constants. `registers` and
    `stack`, bytes of it, are limits; `aligned`: the integers that are multiples of 16."""

    function: object
    tile: str
    arguments: dict[str, str]
    constants: dict[str, int | bool | None]
    registers: int | dict[int, int]  # or by compute capability
    fusion: bool = True
    aligned: tuple[str, ...] = ("padded", "vocab", "width")  # beside pointers
    stack: int = 0

    def compile(self, capability: int):
        """Compiled with the launcher's tile, and D = 256 unless the constants say otherwise."""
        tile = launch.tile(self.tile, capability)
        blocks = {"BLOCK_N": tile.rows, "BLOCK_K": tile.columns or tile.rows, "BLOCK_D": 256}
        blocks |= {"ROWS": tile.rows, "COLUMNS": tile.columns}
        if self.tile in ("vq_statistics", "head_gradient"):
            blocks |= {"BLOCK_V": tile.rows, "BLOCK_D": tile.columns}
        names = self.function.arg_names
        constants = {n: v for n, v in (blocks | self.constants).items() if n in names}
        signature = {n: "constexpr" if n in constants else self.arguments[n] for n in names}
        # As the launcher finds them: pointers are multiples of 16, too.
        aligned = [
            n
            for n in names
            if n not in constants and (signature[n].startswith("*") or n in self.aligned)
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
    known |= dict.fromkeys(("span", "capacity"), "i32") | {"pairs": "*i32", "total": "*i32"}
    known |= dict.fromkeys(("distances", "least"), "*i64")
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
        # The ptxas of Triton 3.6 puts 8 bytes of a thread on the stack where 128 registers are all
        # that 512 threads have (sm_80); that of 3.9 does not.
        stack = 8 if mode == "fast" and triton.__version__.startswith("3.6.") else 0
        arguments = (vq.nearest_kernel, "nearest", known, constants, 255)
        found[f"nearest-{mode}"] = Kernel(*arguments, stack=stack)
    found["list"] = Kernel(vq.list_kernel, "nearest", known, one, 255)
    found["choose"] = Kernel(vq.choose_kernel, "vq_pairs", known, {}, 64)
    for kind in ("fp32", "bf16"):
        typed = known | {"x": f"*{kind}", "codebook": f"*{kind}"}
        found |= {
            f"distance-{kind}": Kernel(vq.distance_kernel, "vq_pairs", typed, {}, 64, False),
            f"rescore-{kind}": Kernel(vq.rescore_kernel, "vq_rescore", typed, one, 168, False),
            f"pack-codes-{kind}": Kernel(vq_pack.pack_codes_kernel, "vq_pack", typed, one, 168),
            f"pack-rows-{kind}": Kernel(vq_pack.pack_rows_kernel, "vq_pack", typed, one, 168),
            f"statistics-{kind}": Kernel(vq.statistics_kernel, "vq_statistics", typed, {}, 128),
        }
    return found | cross_entropy_kernels() | attention_kernels()


def cross_entropy_kernels() -> dict[str, Kernel]:
    """A row in registers and one read twice; the chunks of a sum, in bf16 and in fp32."""
    known = {"ignored": "i64"} | dict.fromkeys(("rows", "vocab", "width"), "i32")
    known |= dict.fromkeys(("logits", "g", "x"), "*bf16") | {"scale": "*fp32", "nats": "*fp32"}
    known |= {"targets": "*i64", "low": "*u8", "high": "*i16"}
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
            constants |= {} if narrow else {"low": None, "high": None}
            name = f"head-{typed['result'][1:]}-{first}-{last}"
            kernel = cross_entropy.head_gradient_kernel
            found[name] = Kernel(kernel, "head_gradient", typed, constants, 255)
    return found


def attention_kernels() -> dict[str, Kernel]:
    """Each of the three, causal and with all that a column mask needs, for every table of tiles.

    On sm_90 two programs of 256 threads, or three of 128, share a multiprocessor: 128 and 168
    registers; dk and dv with the scores of both take more. fp32 multiplies without tensor cores:
    it is there to be right, and spills a little.
    """
    functions = {
        "forward": (attention.forward_kernel, {80: 168, 90: 128}),
        "queries": (attention.query_kernel, {80: 208, 90: 144}),
        "keys": (attention.key_kernel, {80: 255, 90: 248}),
    }
    tensors = ("q", "k", "v", "o", "do", "dq", "dk", "dv")
    strides = tuple(f"{x}_{i}" for x in tensors for i in "bht")
    table = ("order", "starts", "entries", "bits")
    known = dict.fromkeys(("first", "length", "heads", *strides), "i32") | {"scale": "fp32"}
    known |= dict.fromkeys(("lse", "delta"), "*fp32") | dict.fromkeys(table, "*i32")
    found = {}
    for name, (function, registers) in functions.items():
        for kind, dtype, channels, causal, limits, stack in (
            ("", "bf16", 64, True, registers, 0),
            ("_pattern", "bf16", 64, False, registers, 0),
            ("_128", "bf16", 128, False, 255, 0),
            ("_fp32", "fp32", 64, False, 255, 16),
        ):
            arguments = known | dict.fromkeys(tensors, f"*{dtype}")
            constants = {"D": channels, "BLOCK_D": channels} | dict.fromkeys(
                table if causal else (), None
            )
            found[f"attention-{name}{kind}"] = Kernel(
                function, f"attention_{name}{kind}", arguments, constants, limits,
                aligned=strides, stack=stack,
            )  # fmt: skip
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
    registers = kernel.registers
    limit = registers if isinstance(registers, int) else registers[capability]
    assert used["REG"] <= limit, used
    assert used["LOCAL"] == 0, used
    assert used["STACK"] <= kernel.stack, used
    assert compiled.metadata.shared <= SHARED[capability]
    if not kernel.fusion:  # what promises its bits has no fused multiply-add of doubles
        assert "fma.rn.f64" not in compiled.asm["ptx"]
    if name.startswith(("nearest", "list", "head", "attention")) and "_fp32" not in name:
        # The products are on tensor cores, and attention's next tile arrives meanwhile.
        assert ("wgmma.mma_async" if capability == 90 else "mma.sync") in compiled.asm["ptx"]
        assert "cp.async" in compiled.asm["ptx"] or name.startswith(("nearest", "list"))


@pytest.mark.parametrize("name", ["nearest-fast", "nearest-exact", "list"])
def test_the_rows_stay_and_codes_come_ahead(name):
    """On Hopper: shared memory is filled with the rows once, before the loop over codes, and blocks
    of codes are under way while one is multiplied."""
    code = KERNELS[name].compile(90).asm["ttgir"]
    loop = code[code.index("scf.for") :]
    assert "local_alloc" not in loop[: loop.index("scf.yield")]
    waits = re.findall(r"async_wait .*\{num = (\d+)", loop)
    assert int(waits[0]) >= 2
