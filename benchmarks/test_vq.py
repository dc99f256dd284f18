"""pytest benchmarks/ -k vq"""

from benchmarks import vq


def test_vq(versus, keep):
    keep("vq", vq.run(measure=versus))
