"""kernels/vq.py and vq_pack.py ahead of time: within registers and memory, on tensor cores."""

import re

import pytest

from aot import CAPABILITIES, GPUS, OTHERS, USUAL, Kernel
from mas_fast.kernels import launch, vq, vq_pack

TYPES = dict.fromkeys(("rows", "count", "channels", "padded", "capacity"), "i32")
TYPES |= dict.fromkeys(("stride_n", "stride_d", "stride_k", "stride_c"), "i32")
TYPES |= dict.fromkeys(("totals", "open_rows"), "*i32") | {"pairs": "*i64"}
TYPES |= dict.fromkeys(("packed", "codes"), "*fp16")
TYPES |= dict.fromkeys(("half_square", "norms", "ratio", "bound", "limit", "sums"), "*fp32")
TYPES |= dict.fromkeys(("best", "order", "edges", "distances", "least", "least_bits"), "*i64")
TYPES |= {"largest": "*fp32"}
# Of 256 channels, which are one product, or of 1024.
SIZES = {256: {"CHUNKS": 1, "BLOCK_D": 256}, 1024: {"CHUNKS": 16, "BLOCK_D": 64}}
PRODUCTS = {
    "fast": (vq.nearest_kernel, SIZES[256] | {"EXACT": False}),
    "exact": (vq.nearest_kernel, SIZES[256] | {"EXACT": True}),
    "exact-1024": (vq.nearest_kernel, SIZES[1024] | {"EXACT": True}),
    "list": (vq.list_kernel, SIZES[256]),
    "list-1024": (vq.list_kernel, SIZES[1024]),
}
# What reads the input: tile, limit of registers, and whether multiplications and additions fuse.
READERS = {
    "distance": (vq.distance_kernel, "vq_pairs", 64, False),
    "rescore": (vq.rescore_kernel, "vq_rescore", 168, False),
    "pack-codes": (vq_pack.pack_codes_kernel, "vq_pack", 168, True),
    "pack-rows": (vq_pack.pack_rows_kernel, "vq_pack", 168, True),
}
INPUTS = [(dtype, capability) for dtype in ("fp32", "bf16") for capability in USUAL]
INPUTS += [pytest.param("bf16", *other.values, marks=other.marks) for other in OTHERS]


def product(name: str, capability: int) -> Kernel:
    function, constants = PRODUCTS[name]
    tile = launch.tile("nearest_list" if function is vq.list_kernel else "nearest", capability)
    constants = constants | {"BLOCK_N": tile.rows, "BLOCK_K": tile.columns}
    return Kernel(function, TYPES, constants, tile.options, aligned=("padded",))


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name, capability) -> None:
    compiled = product(name, capability).compile(capability)
    tile = launch.tile("nearest_list" if name.startswith("list") else "nearest", capability)
    assert compiled.fits
    assert compiled.shared <= tile.shared << 10
    assert compiled.registers <= 255
    assert compiled.stack == 0
    assert compiled.tensor_cores == GPUS[capability].tensor_cores


@pytest.mark.parametrize(("dtype", "capability"), INPUTS)
@pytest.mark.parametrize("name", READERS)
def test_what_reads_the_input(name, dtype, capability) -> None:
    function, tile_name, registers, fused = READERS[name]
    tile = launch.tile(tile_name, capability)
    constants = SIZES[256] | {"BLOCK_N": tile.rows, "BLOCK_K": tile.columns}
    types = TYPES | {"x": f"*{dtype}", "codebook": f"*{dtype}"}
    options = tile.options | {"enable_fp_fusion": fused}
    compiled = Kernel(function, types, constants, options, aligned=("padded",)).compile(capability)
    assert compiled.fits
    assert compiled.registers <= registers
    assert compiled.stack == 0
    if not fused:  # what promises its bits has no fused multiply-add of doubles
        assert "fma.rn.f64" not in compiled.ptx


@pytest.mark.parametrize(("dtype", "capability"), INPUTS)
def test_statistics(dtype, capability) -> None:
    tile = launch.tile("vq_statistics", capability)
    constants = {"BLOCK_N": tile.rows, "BLOCK_D": tile.columns}
    types = TYPES | {"x": f"*{dtype}"}
    compiled = Kernel(vq.statistics_kernel, types, constants, tile.options).compile(capability)
    assert compiled.fits
    assert compiled.registers <= 128
    assert compiled.stack == 0


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_choose(capability) -> None:
    tile = launch.tile("vq_pairs", capability)
    constants = {"BLOCK_N": tile.rows}
    compiled = Kernel(vq.choose_kernel, TYPES, constants, tile.options).compile(capability)
    assert compiled.fits
    assert compiled.registers <= 64
    assert compiled.stack == 0


@pytest.mark.parametrize("name", ["fast", "exact", "list"])
def test_the_rows_stay_and_codes_come_ahead(name):
    """On Hopper: shared memory is filled with the rows once, before the loop over codes, and blocks
    of codes are under way while one is multiplied."""
    code = product(name, 90).compile(90).ttgir
    loop = code[code.index("scf.for") :]
    assert "local_alloc" not in loop[: loop.index("scf.yield")]
    waits = re.findall(r"async_wait .*\{num = (\d+)", loop)
    assert int(waits[0]) >= 2
