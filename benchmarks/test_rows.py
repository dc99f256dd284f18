"""pytest benchmarks/ -k rows"""

from benchmarks import rows


def test_rows(versus, keep):
    keep("rows", rows.run(measure=versus))
