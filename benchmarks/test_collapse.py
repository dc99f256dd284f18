"""pytest benchmarks/ -k collapse"""

import pytest

from benchmarks import collapse


@pytest.mark.skipif(not collapse.DATA.is_dir(), reason=f"no {collapse.DATA}")
def test_collapse(benchmark, keep):
    keep("collapse", benchmark.pedantic(collapse.run, rounds=1))
