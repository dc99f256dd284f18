"""The subject "onnx" on a tiny model: it runs, and refuses to time a graph that is wrong."""

import json

import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="the export needs onnxscript")


from benchmarks import onnx  # noqa: E402
from benchmarks.versus import Disagreement  # noqa: E402

TINY = onnx.Plan(preset="tiny-img", batches=(1, 2), blocks=2, threads=1)


def test_it_runs_on_a_tiny_model(capsys) -> None:
    record = onnx.run(TINY)
    contestants = record["matches"]["batch 2"]["contestants"]
    assert set(contestants) == {onnx.OURS, onnx.PLAIN, onnx.INT8, onnx.TORCH}
    assert all(20 < value < 90 for value in record["psnr of int8"].values())
    json.dumps(record, allow_nan=False)
    onnx.results.show(record)
    assert "times as fast as PyTorch, channels-last" in capsys.readouterr().out


def test_a_wrong_graph_is_not_timed() -> None:
    picture = np.zeros((1, 3, 8, 8), np.float32)
    onnx.check(picture + 5e-5, picture)
    for wrong in (picture + 2e-4, picture * np.nan):
        with pytest.raises(Disagreement, match="onnx: found an error of"):
            onnx.check(wrong, picture)


def test_psnr_is_of_the_pictures_own_range() -> None:
    picture = np.linspace(0, 0.1, 1000)
    assert onnx.psnr(picture + 0.001, picture) == pytest.approx(40, abs=1e-6)
