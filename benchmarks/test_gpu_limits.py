"""pytest benchmarks/ -k gpu_limits"""

import pytest

from benchmarks import gpu_limits
from benchmarks.versus import Unavailable


def test_gpu_limits(versus, keep):
    try:
        keep("gpu_limits", gpu_limits.run(measure=versus))
    except Unavailable as error:
        pytest.skip(str(error))
