"""What is measured on a GPU, at tiny shapes on a CPU: kernels in Triton's interpreter. That
gpu_check.sh runs all of it, `.ci/run` sees."""

import dataclasses
import importlib
import json
import subprocess
from pathlib import Path

import pytest
import torch

import benchmarks
from benchmarks import __main__ as command
from benchmarks import gpu, gpu_engines, gpu_smoke, results
from benchmarks.goals import Goal
from benchmarks.peers import static_kv
from benchmarks.versus import Block, Contestant, Disagreement, Match, Unavailable, calls, measure
from mas_fast import ops
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.engines import ENGINES
from mas_fast.models.gpt import GPT, preset
from mas_fast.utils import native

pytest.importorskip("triton")
SCRIPT = Path(benchmarks.__file__).with_name("gpu_check.sh")
SUBJECTS = ("gpu_limits", "gpu_decode", "gpu_sampler", "gpu_batch", "attention", "vq")
SUBJECTS += ("cross_entropy", "training")
interpreted = pytest.mark.interpreted
needs_libraries = pytest.mark.skipif(
    any(map(native.problem, native.LIBRARIES)), reason="the native libraries are not built"
)


def test_interpreted(run_interpreted) -> None:
    run_interpreted(__file__, "rehearsal")


# ---------------------------------------------------------------------------- subjects


@needs_libraries
@interpreted
@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s not in ("gpu_decode", "gpu_batch")])
def test_rehearsal(subject, tmp_path, capsys) -> None:
    path = tmp_path / "gpu.json"
    command.run(subject, path, rehearse=True)
    (name, record), *others = json.loads(path.read_text())["subjects"].items()
    assert (name, others) == (subject, [])
    matches = record.get("matches") or [record["match"]]
    assert all(matches)
    assert record.get("broken", {}) == {}
    assert "result" in capsys.readouterr().out  # of goals


@needs_libraries
@interpreted
@pytest.mark.parametrize("subject", ["gpu_decode", "gpu_batch"])
def test_rehearsal_of_an_engine(subject, monkeypatch) -> None:
    """Windows, pictures and all goals of ours, by a faster engine in its place."""
    eager = dataclasses.replace(ENGINES["eager"], make=lambda model, **_: EagerEngine(model))
    monkeypatch.setitem(ENGINES, gpu_engines.GRAPH, eager)
    record = importlib.import_module(f"benchmarks.{subject}").run(gpu_engines.REHEARSAL)
    assert record["broken"] == {}
    ours = gpu_engines.ours("fp32")
    assert record["tokens as the reference"][ours] >= 0.95
    assert all(goal["figure"] is not None for goal in record["goals"] if "fp32" in goal["text"])
    if subject == "gpu_decode":
        parts = record["parts"]["fp32"]
        assert all(seconds > 0 for seconds in parts.values())
        assert set(parts) == {"caption", "seg", "scene decoded", "img", "picture decoded"}


@needs_libraries
@interpreted
def test_rehearsal_of_an_engine_that_is_wrong(monkeypatch) -> None:
    """It is not timed, the others are, and the command fails."""
    wrong = dataclasses.replace(ENGINES["eager"], make=lambda *_, **__: Wrong())
    monkeypatch.setitem(ENGINES, gpu_engines.GRAPH, wrong)
    plan = dataclasses.replace(gpu_engines.REHEARSAL, captions=1)
    record = importlib.import_module("benchmarks.gpu_decode").run(plan)
    assert list(record["broken"]) == [gpu_engines.ours("fp32")]
    assert "eager fp32" in record["match"]["contestants"]
    assert list(record["beside compiled"]["contestants"]) == [gpu_engines.COMPILED]
    text = f"{gpu_engines.ours('fp32')}: times as fast as {gpu_engines.COMPILED}"
    (goal,) = (goal for goal in record["goals"] if goal["text"] == text)
    assert goal["figure"] is None
    assert goal["detail"].startswith("FAILED: ")


class Wrong:
    """An engine that draws the same token everywhere."""

    streams = gpu_engines.TINY.streams

    def start(self, request):
        self.tokens = torch.from_numpy(request.forced).clamp(min=1)
        return self

    def advance(self, count=0, progress=None):
        return self.streams.length


# ---------------------------------------------------------------------------- the compiled peer


@pytest.fixture
def loop() -> static_kv.StaticKV:
    model = GPT.create(preset("tiny"), seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    made = static_kv.StaticKV(model, 2, guidance=3.0, top_k=1, compiled=False)
    made.model = model
    return made


def test_the_static_loop_draws_the_likeliest_tokens(loop) -> None:
    """Of one whole sequence after another, over all borders of streams."""
    streams = loop.streams
    for seed in range(2):
        text = torch.randint(1, 9, (4, streams[0].length), generator=torch.manual_seed(seed))
        loop.begin(text)
        loop.steps(streams.length - streams[0].length - 1)
        tokens = loop.tokens
        assert torch.equal(tokens[:2, streams[0].length :], tokens[2:, streams[0].length :])
        assert torch.equal(tokens[:, : streams[0].length], text)
        logits = loop.model(tokens)
        for stream in list(streams)[1:]:
            cond, uncond = logits[stream.name].chunk(2)
            best = (uncond + 3 * (cond - uncond)).argmax(-1)
            assert torch.equal(tokens[:2, streams.slice(stream.name)], best)


def test_a_step_of_the_static_loop_is_one_graph(loop) -> None:
    loop.begin(torch.ones(4, loop.streams[0].length, dtype=torch.int64))
    before = loop.tokens.clone()
    step = torch.compile(static_kv.step, backend="eager", fullgraph=True, dynamic=False)
    with torch.inference_mode(), static_kv.MATH():
        step(loop, loop.gpt.heads[1])
    at = int(loop.position)
    assert at == loop.streams[0].length + 1
    assert (before[:, at] != loop.tokens[:, at]).any() or before[:, at].any()


# ---------------------------------------------------------------------------- failures


def test_a_contestant_that_fails_costs_only_itself() -> None:
    guard = gpu.Guard()

    def broken() -> None:
        raise RuntimeError("an illegal memory access\nand more")

    def missing() -> None:
        raise Unavailable("not installed")

    def wrong() -> None:
        raise Disagreement("other tokens")

    crew = [
        calls("fails at once", broken, 1, broken),
        Contestant("fails later", lambda: broken()),
        calls("wrong", broken, 1, wrong),
        calls("missing", missing, 1, missing),
        Contestant("fine", lambda: Block("", (1.0,))),
    ]
    match = measure([guard(each) for each in crew], 2)
    assert list(match.samples) == ["fine"]
    assert match.missing["fails later"] == "FAILED: RuntimeError: an illegal memory access"
    assert match.missing["missing"] == "not installed"
    assert set(guard.broken) == {"fails at once", "fails later", "wrong"}


@pytest.mark.parametrize("wrong", [0.0, 0.1, float("nan")])
def test_the_smoke_test_sees_a_wrong_op(wrong, monkeypatch, capsys) -> None:
    right = ops.label_conv
    monkeypatch.setattr(ops, "label_conv", lambda *x: right(*x) + wrong)
    assert gpu_smoke.main(["label"]) == (wrong != 0)
    said = capsys.readouterr().out
    assert said.count("label_conv") == 1
    assert "attention" not in said
    assert ("FAILED  Disagreement" in said) == (wrong != 0)


def test_matches_are_stored_as_they_come(tmp_path) -> None:
    path = tmp_path / "gpu.json"
    fine = Contestant("fine", lambda: Block("", (1.0,)))
    kept = results.keeping("subject", measure, path)

    def stored() -> dict:
        return json.loads(path.read_text())["subjects"]

    for count in (1, 2):
        assert kept([fine], 1).median("fine") == 1.0
        assert list(stored()) == ["subject (unfinished)"]
        assert len(stored()["subject (unfinished)"]["matches"]) == count
    results.write("subject", {"whole": True}, path)
    assert stored() == {"subject": {"whole": True}}


def test_a_record_with_what_broke_is_stored_and_fails(tmp_path, monkeypatch) -> None:
    record = {"tables": [], "broken": {"ours": "RuntimeError: no"}}
    monkeypatch.setattr("benchmarks.sampler.run", lambda: record)
    with pytest.raises(ValueError, match="1 broke: ours: RuntimeError: no"):
        command.run("sampler", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["subjects"]["sampler"] == record


def test_goals_without_a_peer_say_why() -> None:
    from benchmarks.gpu_decode import goals_of

    plan, ours = gpu_engines.Plan(), gpu_engines.ours("bf16")
    block = Block("65..128", (1e-4,)), Block("513..576", (1.2e-4,))
    reads = Block("", (1e-4,))
    match = Match({ours: [*block], gpu_engines.READ: [reads]}, {"eager bf16": "no"})
    beside = Match({ours: [*block]}, {"compiled, static KV": "too old"})
    found: dict[str, Goal] = {goal.text: goal for goal in goals_of(plan, match, beside)}
    assert found[f"{ours}: times as fast as compiled, static KV"].detail == "too old"
    assert found[f"{ours}: us a token"].figure == pytest.approx(110)
    assert found[f"{ours}: the last tokens' time over the first ones'"].figure == pytest.approx(1.2)
    share = found[f"{ours}: share of the read rate"]
    assert share.figure == pytest.approx(
        gpu_engines.step_bytes(plan, 1) / 1.1e-4 / (plan.read_bytes / 1e-4)
    )


# ---------------------------------------------------------------------------- the script


def listed(*words: str) -> list[str]:
    done = subprocess.run([SCRIPT, *words, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_rehearsal_has_the_steps_of_the_day() -> None:
    assert listed("--rehearse") == listed("figures", "tests")
    for call in ("figures", "tests"):
        assert listed(call, "--rehearse") == listed(call)


def test_each_subject_of_the_day_has_a_rehearsal() -> None:
    steps = [*listed("figures"), *listed("tests")]
    assert {step for step in steps if step in benchmarks.SUBJECTS} == set(SUBJECTS)
    for subject in SUBJECTS:
        assert importlib.import_module(f"benchmarks.{subject}").REHEARSAL


@pytest.mark.parametrize("words", [[], ["figurs"], ["--list"]])
def test_another_call_is_refused(words) -> None:
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "gpu_check.sh figures" in done.stderr
