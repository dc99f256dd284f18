"""Marks of tests that need a compiled library."""

import pytest

from mas_fast.utils import native


def built(library: str):
    """A mark that skips, saying why, where `library` is not built."""
    problem = native.problem(library)
    return pytest.mark.skipif(problem is not None, reason=str(problem))


needs_torch_library = built("_torch")
needs_engine = built("_engine")
IMPLS = ["reference", pytest.param("cpp", marks=needs_torch_library)]
