"""pytest benchmarks/ -k sampler"""

from benchmarks import sampler


def test_sampler(versus, keep):
    keep("sampler", sampler.run(measure=versus))
