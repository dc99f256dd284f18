"""The subject "rows" on a small model."""

import json

from benchmarks import rows as subject

SMALL = subject.Plan(preset="storybook", blocks=2, steps=2, threads=1, samples=(1, 4))


def test_it_runs_on_a_small_model(capsys) -> None:
    record = subject.run(SMALL)
    names = {
        subject.label(name, dtype, samples)
        for name in ("mas_fast", "torch")
        for dtype in subject.KINDS
        for samples in SMALL.samples
        if (name, dtype) != ("torch", "int4")
    }
    match = record["match"]
    assert set(match["contestants"]) | set(match["missing"]) == names
    assert {f"mas_fast {dtype}, 8 rows" for dtype in subject.KINDS} <= set(match["contestants"])
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "int8: 8 rows over 2 rows" in capsys.readouterr().out


def test_torch_multiplies_every_matrix_of_a_pass() -> None:
    linears = subject.Linears("storybook", 1, "bf16")
    layers = subject.preset("storybook").layers
    assert len(linears.weights) == 4 * layers + 1
    assert sum(w.numel() for w in linears.weights) == layers * 12 * 256**2 + 512 * 256
    assert len(linears.seconds(2, 3)) == 3
