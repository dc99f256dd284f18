"""pytest benchmarks/ -k gpu_decode"""

import pytest

from benchmarks import gpu_decode
from benchmarks.versus import Unavailable


def test_gpu_decode(versus, keep):
    try:
        keep("gpu_decode", gpu_decode.run(measure=versus))
    except Unavailable as error:
        pytest.skip(str(error))
