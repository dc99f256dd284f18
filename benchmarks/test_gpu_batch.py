"""pytest benchmarks/ -k gpu_batch"""

import pytest

from benchmarks import gpu_batch
from benchmarks.versus import Unavailable


def test_gpu_batch(versus, keep):
    try:
        keep("gpu_batch", gpu_batch.run(measure=versus))
    except Unavailable as error:
        pytest.skip(str(error))
