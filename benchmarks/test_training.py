"""pytest benchmarks/ -k training"""

from benchmarks import training


def test_training(versus, keep):
    keep("training", training.run(measure=versus))
