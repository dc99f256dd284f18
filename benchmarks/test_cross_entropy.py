"""pytest benchmarks/ -k cross_entropy"""

from benchmarks import cross_entropy


def test_cross_entropy(versus, keep):
    keep("cross_entropy", cross_entropy.run(measure=versus))
