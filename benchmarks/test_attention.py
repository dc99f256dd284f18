"""pytest benchmarks/ -k attention"""

import pytest

from benchmarks import attention
from benchmarks.versus import Unavailable


def test_attention(versus, keep):
    try:
        keep("attention", attention.run(measure=versus))
    except Unavailable as error:
        pytest.skip(str(error))
