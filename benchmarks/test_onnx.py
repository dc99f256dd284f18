"""pytest benchmarks/ -k onnx"""

from benchmarks import onnx


def test_onnx(versus, keep):
    keep("onnx", onnx.run(measure=versus))
