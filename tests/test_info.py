"""mas-fast info, with the errors of utils/native.py that it reports."""

import json
import os
import subprocess
import sys

import numpy
import pytest

import mas_fast
from mas_fast import info
from mas_fast.utils import native


def run_info(code_before: str = "", **env: str) -> dict:
    """`collect()` of a fresh interpreter."""
    code = (
        f"{code_before}\nimport json; from mas_fast import info; print(json.dumps(info.collect()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def off(facts: dict) -> dict[str, str]:
    return {it["path"]: it["why"] for it in facts["off"]}


def test_facts() -> None:
    facts = info.collect()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["versions"]["mas_fast"] == mas_fast.__version__
    assert facts["versions"]["numpy"] == numpy.__version__
    assert facts["libraries"] == {
        name: {"built": True, "problem": None} for name in ("_engine", "_torch")
    }
    assert facts["ops"]["sample"]["cpu"] == "cpp"
    assert 1 <= facts["cpu"]["available"] <= facts["cpu"]["cores"]


def test_isas() -> None:
    """The ladder is that of the C++ core: supported is a prefix, the default is its last."""
    cpu = run_info(MAS_FAST_ISA="")["cpu"]
    assert cpu["isas"] == list(info.ISAS)[: len(cpu["isas"])]
    assert cpu["isa"] == cpu["isas"][-1]


def test_forced_isa() -> None:
    facts = run_info(MAS_FAST_ISA="generic")
    assert facts["cpu"]["isa"] == "generic"
    for name in facts["cpu"]["isas"][1:]:
        assert "MAS_FAST_ISA=generic" in off(facts)[f"{name} ({info.ISAS[name]})"]


def test_unknown_isa_is_reported_not_raised() -> None:
    facts = run_info(MAS_FAST_ISA="sse9")
    assert facts["cpu"]["isa"] is None
    assert "sse9" in off(facts)["C++ engine"]
    assert "avx2" in off(facts)["C++ engine"]
    assert "sse9" in info.render(facts)


def test_without_torch() -> None:
    facts = run_info("import sys; sys.modules['torch'] = None")
    assert facts["ops"] == {}
    assert facts["gpus"] == []
    assert facts["cpu"]["torch_threads"] is None
    assert facts["libraries"]["_engine"]["problem"] is None
    assert "pip install" in facts["libraries"]["_torch"]["problem"]
    assert 'pip install "torch' in off(facts)["torch operators"]
    assert "torch" in info.render(facts)


def test_without_native_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "mas_fast._engine", None)
    monkeypatch.setattr(native, "TORCH_LIBRARY", tmp_path / "_torch.so")
    monkeypatch.setattr(info, "_built", lambda name: False)
    facts = info.collect()
    assert facts["cpu"]["isa"] is None
    assert "pip install -e ." in off(facts)["C++ engine"]
    assert "MAS_FAST_TORCH=1 pip install -e ." in off(facts)["torch operators"]
    text = info.render(facts)
    assert text.count("not built") >= 2
    assert "pip install -e ." in text


def test_render_names_every_fast_path_that_is_off() -> None:
    facts = info.collect()
    text = info.render(facts)
    for it in facts["off"]:
        assert it["path"] in text
        assert it["why"] in text
    for title in ("versions", "processor", "GPUs", "native libraries", "implementations"):
        assert f"{title}\n" in text
