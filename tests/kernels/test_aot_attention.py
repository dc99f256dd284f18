"""kernels/attention_kernels.py ahead of time: within registers and memory, on tensor cores, with
copies ahead, and in no more instructions than were reached."""

import pytest

from aot import CAPABILITIES, GPUS, Kernel
from mas_fast.kernels import attention, launch
from mas_fast.kernels import attention_kernels as kernels
from sass import groups_ahead, product_loop

FUNCTIONS = {
    "forward": kernels.forward_kernel,
    "queries": kernels.query_kernel,
    "keys": kernels.key_kernel,
}
TENSORS = ("q", "k", "v", "o", "do", "dq", "dk", "dv")
STRIDES = tuple(f"{x}_{i}" for x in TENSORS for i in "bht")
TABLE = ("starts", "entries", "bits")
TYPES = dict.fromkeys(("first", "length", "heads", *STRIDES), "i32") | {"scale": "fp32"}
TYPES |= dict.fromkeys(("lse", "lse_delta"), "*fp32")
TYPES |= dict.fromkeys(("order", *TABLE), "*i32")
# Causal, with a table, with a table in another order, of many channels, and without tensor cores:
# the tile's kind, dtype, channels, and the tensors that there are not.
KINDS = {
    "causal": ("", "bf16", 64, ("order", *TABLE)),
    "row": ("_pattern", "bf16", 64, ("order",)),
    "column": ("_pattern", "bf16", 64, ()),
    "wide": ("_128", "bf16", 128, ("order", *TABLE)),
    "fp32": ("_fp32", "fp32", 64, ()),
}
# For each of GPUS, in order, the worse of what Triton 3.6 and 3.9 reach. Registers of a thread, at
# most; programs of a multiprocessor, at least, and instructions of a turn of the loop, at most, its
# mask among them.
REGISTERS = {
    "forward causal": (168, 168, 168, 117, 128, 166),
    "queries causal": (134, 134, 134, 122, 128, 142),
    "keys causal": (176, 208, 208, 230, 232, 218),
    "forward row": (210, 210, 210, 114, 127, 192),
    "queries row": (241, 241, 241, 126, 82, 232),
    "keys row": (238, 238, 238, 230, 175, 232),
    "forward column": (210, 210, 210, 128, 125, 198),
    "queries column": (239, 239, 239, 145, 88, 232),
    "keys column": (228, 230, 230, 226, 178, 234),
    "forward wide": (226, 209, 209, 158, 182, 210),
    "queries wide": (167, 166, 166, 168, 142, 166),
    "keys wide": (255, 255, 255, 242, 140, 252),
}
REACHED = {
    "forward causal": [(3, 472), (2, 472), (2, 472), (2, 385), (2, 434), (2, 483)],
    "queries causal": [(3, 263), (3, 263), (3, 263), (2, 357), (2, 386), (3, 275)],
    "keys causal": [(2, 324), (2, 321), (2, 321), (2, 414), (2, 515), (2, 321)],
    "forward row": [(2, 481), (2, 481), (2, 481), (4, 409), (3, 435), (2, 502)],
    "queries row": [(2, 276), (2, 276), (2, 276), (3, 372), (2, 404), (2, 293)],
    "keys row": [(2, 333), (2, 333), (2, 333), (2, 419), (2, 528), (2, 351)],
    "forward column": [(2, 503), (2, 504), (2, 504), (4, 417), (4, 461), (2, 540)],
    "queries column": [(2, 277), (2, 277), (2, 277), (3, 382), (2, 422), (2, 309)],
    "keys column": [(2, 336), (2, 336), (2, 336), (2, 419), (2, 509), (2, 360)],
    "forward wide": [(2, 797), (1, 816), (1, 816), (2, 485), (2, 525), (1, 858)],
    "queries wide": [(3, 364), (1, 381), (1, 381), (2, 437), (2, 477), (1, 404)],
    "keys wide": [(2, 462), (1, 457), (1, 457), (2, 322), (2, 388), (1, 495)],
}


def kernel(name: str, kind: str, capability: int) -> Kernel:
    suffix, dtype, channels, absent = KINDS[kind]
    tile = launch.tile(f"attention_{name}{suffix}", capability)
    constants = {"ROWS": tile.rows, "COLUMNS": tile.columns, "D": channels, "BLOCK_D": channels}
    constants |= {"BIAS": attention.bias(capability)} | dict.fromkeys(absent)
    types = TYPES | dict.fromkeys(TENSORS, f"*{dtype}")
    return Kernel(FUNCTIONS[name], types, constants, tile.options, aligned=STRIDES)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("case", REACHED)
def test_keeps_what_was_reached(case, capability) -> None:
    column = list(GPUS).index(capability)
    programs, instructions = REACHED[case][column]
    name, kind = case.split()
    compiled = kernel(name, kind, capability).compile(capability)
    loop = product_loop(compiled.sass)
    assert compiled.fits
    assert compiled.stack == 0
    assert compiled.registers <= REGISTERS[case][column]
    assert compiled.tensor_cores == GPUS[capability].tensor_cores
    assert compiled.programs >= programs
    assert len(loop) <= instructions
    # The next tile of columns is under way while one is awaited. Two stages (where a third would
    # cost a program) and rows that are found by an index of theirs have it wait for the copies.
    stages = launch.tile(f"attention_{name}{KINDS[kind][0]}", capability).stages
    assert groups_ahead(loop) >= (1 if stages > 2 and kind != "column" else 0)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_fp32(name, capability) -> None:
    """It multiplies without tensor cores, to be right."""
    compiled = kernel(name, "fp32", capability).compile(capability)
    assert compiled.fits
    assert compiled.stack <= 16
