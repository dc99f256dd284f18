"""pytest benchmarks/ -k cpu_attention"""

from benchmarks import cpu_attention


def test_cpu_attention(versus, keep):
    keep("cpu_attention", cpu_attention.run(measure=versus))
