"""The loop that multiplies matrices in the instructions of a kernel, as cuobjdump lists them."""

import re

INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/ +([^;]+?) *;")
BRANCH = re.compile(r"\bBRA\b.*?\b0x([0-9a-f]+)")
PRODUCT = re.compile(r"\b(HGMMA|HMMA|UTCHMMA)\b")  # of sm_90, of sm_80 to 89 and 120, of sm_100
GROUP = re.compile(r"\bLDGDEPBAR\b")  # asynchronous copies up to here are one group
WAIT = re.compile(r"\bDEPBAR\.LE SB0, 0x([0-9a-f]+)")  # until at most so many groups are left


def product_loop(sass: str) -> list[str]:
    """The instructions of the innermost loop with the most products of matrices.

    Args:
        sass: what `cuobjdump -sass` says of one kernel.
    """
    found = [(int(at, 16), text) for at, text in INSTRUCTION.findall(sass)]
    number = {at: i for i, (at, _) in enumerate(found)}
    loops = set()
    for last, (at, text) in enumerate(found):
        branch = BRANCH.search(text)
        if branch and (target := int(branch[1], 16)) <= at:
            loops.add((number[target], last))
    inner = [
        [text for _, text in found[first : last + 1]]
        for first, last in loops
        if not any(first <= other[0] and other[1] <= last for other in loops - {(first, last)})
    ]
    return max(inner, key=lambda loop: sum(bool(PRODUCT.search(text)) for text in loop))


def groups_ahead(loop: list[str]) -> float:
    """How many turns of the loop the asynchronous copies are ahead: what is still under way at the
    wait that leaves the least, in groups, by the groups of a turn."""
    groups = sum(bool(GROUP.search(text)) for text in loop)
    left = [int(wait[1], 16) for text in loop if (wait := WAIT.search(text))]
    return min(left) / groups
