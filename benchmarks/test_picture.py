"""pytest benchmarks/ -k picture"""

from benchmarks import picture


def test_picture(versus, keep):
    keep("picture", picture.run(measure=versus))
