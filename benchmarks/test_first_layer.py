"""pytest benchmarks/ -k first_layer"""

from benchmarks import first_layer


def test_first_layer(versus, keep):
    keep("first_layer", first_layer.run(measure=versus))
