"""pytest benchmarks/ -k tokenizers"""

import pytest

from benchmarks import tokenizers


@pytest.mark.skipif(not tokenizers.DATA.is_dir(), reason=f"no {tokenizers.DATA}")
def test_tokenizers(benchmark, keep):
    keep("tokenizers", benchmark.pedantic(tokenizers.run, rounds=1))
