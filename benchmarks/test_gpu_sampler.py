"""pytest benchmarks/ -k gpu_sampler"""

import pytest

from benchmarks import gpu_sampler
from benchmarks.versus import Unavailable


def test_gpu_sampler(versus, keep):
    try:
        keep("gpu_sampler", gpu_sampler.run(measure=versus))
    except Unavailable as error:
        pytest.skip(str(error))
