"""The subject "serve", with a few requests."""

import json

import pytest

from benchmarks import serve as subject

for library in ("fastapi", "uvicorn", "sse_starlette", "prometheus_client"):
    pytest.importorskip(library)


def test_it_runs(capsys) -> None:
    record = subject.run(subject.Plan(strokes=2, clients=2, requests=2, idle=0.2))
    assert all(value >= 0 for value in record["figures"].values())
    assert record["figures"]["memory at most, MB"] > 50
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "first look at the scene after a stroke" in capsys.readouterr().out
