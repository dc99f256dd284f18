"""pytest benchmarks/ -k decode"""

from benchmarks import decode


def test_decode(versus, keep):
    keep("decode", decode.run(measure=versus))
