"""pytest benchmarks/ -k speculation"""

from benchmarks import speculation


def test_speculation(versus, keep):
    keep("speculation", speculation.run(measure=versus))
