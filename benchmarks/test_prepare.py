"""pytest benchmarks/ -k prepare"""

import pytest

from benchmarks import prepare


@pytest.mark.skipif(not prepare.DATA.is_dir(), reason=f"no {prepare.DATA}")
def test_prepare(versus, keep):
    keep("prepare", prepare.run(measure=versus))
