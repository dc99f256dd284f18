"""The machinery of benchmarks/: who is timed when, what a tie is, who is refused, what is kept."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import benchmarks
from benchmarks import __main__ as command
from benchmarks import attention, decode, goals, results, sampler
from benchmarks.stepping import Paced, Stepping
from benchmarks.versus import (
    Block,
    Contestant,
    Disagreement,
    Match,
    Ratio,
    Unavailable,
    calls,
    measure,
)
from benchmarks.worker import Worker
from mas_fast.cli import benchmark
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.utils import native

ENGINE = native.problem("_engine")
needs_engine = pytest.mark.skipif(ENGINE is not None, reason=str(ENGINE))
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def scripted(name: str, seconds: list[float], span: str = "", **options) -> Contestant:
    """A contestant with one block of one unit for each of `seconds`."""
    blocks = iter(seconds)
    return Contestant(name, lambda: Block(span, (next(blocks),)), **options)


def match_of(**seconds: list[float]) -> Match:
    count = max(map(len, seconds.values()))
    return measure([scripted(name, s, blocks=len(s)) for name, s in seconds.items()], count)


# ---------------------------------------------------------------------------- versus


def test_contestants_take_turns() -> None:
    order = []

    def contestant(name: str, blocks: int | None = None) -> Contestant:
        def block() -> Block:
            order.append(name)
            return Block("", (1.0,))

        return Contestant(name, block, blocks=blocks)

    match = measure([contestant("a"), contestant("b"), contestant("slow", blocks=1)], 3)
    assert order == ["a", "b", "slow", "a", "b", "a", "b"]
    assert [len(blocks) for blocks in match.samples.values()] == [3, 3, 1]


def test_all_are_verified_before_any_is_timed() -> None:
    timed = []

    def wrong() -> None:
        raise Disagreement("found 2, expected 3")

    def block() -> Block:
        timed.append(1)
        return Block("", (1.0,))

    with pytest.raises(Disagreement, match="found 2"):
        measure([Contestant("peer", block), Contestant("ours", block, wrong)], 2)
    assert not timed


def test_who_is_unavailable_is_left_out_with_the_reason() -> None:
    def verify() -> None:
        raise Unavailable("not installed")

    def dies() -> Block:
        if len(reached) == 1:
            raise Unavailable("it died")
        reached.append(1)
        return Block("", (1.0,))

    reached = []
    absent = Contestant("absent", dies, verify)
    match = measure([scripted("a", [1.0] * 3), absent, Contestant("dies", dies)], 3)
    assert set(match.samples) == {"a"}
    assert match.missing == {"absent": "not installed", "dies": "it died"}


def test_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        measure([scripted("a", [1.0]), scripted("a", [1.0])], 1)


@pytest.mark.parametrize(
    "ours, peer, verdict",
    [
        ([1.0, 1.02, 0.98, 1.01], [2.0, 2.1, 1.9, 2.0], "faster"),
        ([2.0, 2.1, 1.9, 2.0], [1.0, 1.02, 0.98, 1.01], "slower"),
        ([1.0, 1.2, 0.8, 1.1], [1.05, 1.0, 0.9, 1.2], "tie"),  # the spread is wider than 1%
        ([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], "tie"),
    ],
)
def test_a_difference_within_the_spread_is_a_tie(ours, peer, verdict) -> None:
    assert match_of(ours=ours, peer=peer).ratio("ours", "peer").verdict == verdict


def test_ratios_are_formed_between_neighbours_in_time() -> None:
    # Both slow down by 3x half way, as when another program starts: the ratio stays what it is.
    ours, peer = [1.0, 1.0, 3.0, 3.0], [2.0, 2.0, 6.0, 6.0]
    assert match_of(ours=ours, peer=peer).ratio("ours", "peer") == Ratio(0.5, 0.5, 0.5)
    # One that took part in the first rounds only is compared with those.
    assert match_of(ours=ours, peer=peer[:2]).ratio("ours", "peer").value == 0.5


def test_medians_are_by_range_and_the_spread_is_without_the_trend() -> None:
    blocks = iter([Block("1..2", (1.0, 3.0)), Block("3..4", (5.0, 5.0))] * 2)
    match = measure([Contestant("a", lambda: next(blocks))], 4)
    assert match.spans("a") == {"1..2": 2.0, "3..4": 5.0}
    assert match.median("a") == 3.5
    assert match.spread("a") == (3.5, 3.5)
    assert match.fastest("a") == 1.0
    json.dumps(match.to_dict(), allow_nan=False)


def test_calls_are_timed_one_by_one() -> None:
    block = calls("a", lambda: time.sleep(0.002), units=3).block()
    assert len(block.seconds) == 3
    assert min(block.seconds) >= 0.002


# -------------------------------------------------------------------------- stepping


def test_an_image_is_cut_into_blocks_and_its_first_token_is_not_timed() -> None:
    class Fake(Stepping):
        begun = 0

        def begin(self) -> None:
            self.begun += 1

        def steps(self, count: int) -> list[float]:
            return [1.0] * count

    fake = Fake(prompt=64, length=200, size=64)
    blocks = [fake.block() for _ in range(4)]
    assert [block["span"] for block in blocks] == ["65..128", "129..192", "193..200", "65..128"]
    assert [len(block["seconds"]) for block in blocks] == [63, 64, 8, 63]
    assert fake.begun == 2


def test_a_generation_in_one_call_is_held_between_blocks(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Fake(Paced):
        made = 0

        def generate(self) -> None:
            for _ in range(self.length - self.prompt):
                self.made += 1
                self.tick()

    fake = Fake(prompt=4, length=12, size=4)
    fake.warm()
    assert len(fake.block()["seconds"]) == 3
    time.sleep(0.05)
    now[0] = 1000.0
    assert fake.made == 4  # held within its fourth token
    block = fake.block()
    assert block["span"] == "9..12"
    assert len(block["seconds"]) == 4
    assert max(block["seconds"]) == 0  # not the time between the blocks
    assert fake.block()["span"] == "5..8"
    assert fake.made == 12


def test_an_error_inside_a_generation_reaches_the_caller() -> None:
    class Fake(Paced):
        def generate(self) -> None:
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        Fake(prompt=4, length=12, size=4).block()


# ---------------------------------------------------------------------------- worker


PLAYER = """
import os, signal

class Player:
    def __init__(self, size):
        print("libraries print things")
        self.memory = bytearray(b"x") * size

    def twice(self, value):
        return 2 * value

    def fail(self):
        raise ValueError("found 1, expected 2")

    def crash(self):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@needs_linux
def test_a_worker_answers_is_stopped_between_calls_and_has_its_memory_watched(
    tmp_path, monkeypatch
) -> None:
    (tmp_path / "a_player.py").write_text(PLAYER)
    monkeypatch.syspath_prepend(str(tmp_path))
    worker = Worker("a_player:Player", threads=1)
    try:
        worker.create(size=50 << 20)
        assert worker.call("twice", 21) == 42
        assert 50 << 20 <= worker.peak_bytes - worker.base_bytes < 60 << 20
        with pytest.raises(Unavailable, match="ValueError: found 1, expected 2"):
            worker.call("fail")
        status, end = Path(f"/proc/{worker.process.pid}/status"), time.monotonic() + 60
        while "State:\tT" not in status.read_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(Unavailable, match="SIGSEGV"):
            worker.call("crash")
    finally:
        worker.close()


def test_a_library_that_is_missing_says_how_to_install_it(tmp_path, monkeypatch) -> None:
    (tmp_path / "needy_player.py").write_text("import a_library_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Unavailable, match=r"not installed: pip install -e .\[bench\]"):
        Worker("needy_player:Player", threads=1)


# --------------------------------------------------------------------------- results


def test_a_subject_replaces_its_own_record_only(tmp_path) -> None:
    path = tmp_path / "new" / "machine.json"
    for subject, record in (("a", {"n": 1}), ("b", {"n": 2}), ("a", {"n": 3})):
        assert results.write(subject, record, path) == path
    stored = json.loads(path.read_text())
    assert stored["subjects"] == {"a": {"n": 3}, "b": {"n": 2}}
    assert stored["machine"]["cores"] >= 1
    assert [file.name for file in path.parent.iterdir()] == ["machine.json"]


@pytest.mark.parametrize("text", ["no json", "[1, 2]", '{"other": 1}'])
def test_a_file_of_something_else_is_not_overwritten(tmp_path, text) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="found no results"):
        results.write("a", {}, path)
    assert path.read_text() == text


def test_the_machine_has_a_name_fit_for_a_file() -> None:
    name = results.machine()["name"]
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


# ----------------------------------------------------------------------------- goals


def test_goals_are_passed_missed_or_not_measured() -> None:
    seconds = {name: [0.01] * 4 for name in decode.OURS}
    peers = {"llama.cpp Q8_0, 1 row": [0.02] * 4, "llama.cpp Q8_0, 2 rows": [0.0125] * 4}
    match = Match({n: [Block("2..3", (s, s)) for s in v] for n, v in (seconds | peers).items()})
    match.samples[goals.DRAM] = [Block("", (0.1,))]
    fact = {"weight_bytes": 5, "kv_bytes": 5, "step_bytes": [0, 10**8, 10**8]}
    facts = {name: {**fact, "peak_anonymous_bytes": 2 * goals.SLACK} for name in decode.OURS}
    found = {goal.text: goal.passed for goal in goals.decode(match, facts, read_bytes=10**9)}
    name = goals.INT8[0]
    assert found[f"{name}: time over llama.cpp Q8_0, 1 row"] is True  # 0.5
    assert found[f"{name}: time over llama.cpp Q8_0, 2 rows"] is False  # 0.8
    assert found[f"{name}: times as fast as {goals.CTRANSLATE2}"] is None
    assert found[f"{name}: share of the DRAM read bandwidth"] is True  # 10 of 10 GB/s
    assert found[f"{name}: time at the end over the start"] is True
    assert found[f"{name}: peak anonymous memory, MB"] is False
    words = {row[-1] for row in goals.table(goals.decode(match, facts, 10**9))["rows"]}
    assert words == {"passed", "FAILED", "not measured"}


# -------------------------------------------------------------------------- subjects

TINY = decode.Plan(
    preset="tiny", images=2, block=8, checked=16, read_bytes=1 << 20, threads=1, peers=False
)


@needs_engine
def test_decode_runs_on_a_tiny_model(tmp_path, capsys) -> None:
    record = decode.run(TINY)
    for name in decode.OURS:
        assert len(record["match"]["contestants"][name]["blocks"]) == 2 * 4
        assert record["engines"][name]["weight_bytes"] > 0
    results.write("decode", record, tmp_path / "machine.json")
    results.show(record)
    assert "ms per token" in capsys.readouterr().out


@needs_engine
def test_decode_does_not_time_an_engine_that_draws_other_tokens(monkeypatch) -> None:
    monkeypatch.setattr(decode, "GUIDANCE", -20.0)  # for the reference alone
    with pytest.raises(Disagreement, match="of the tokens are the reference's"):
        decode.run(TINY)


@needs_engine
def test_sampler_runs_and_refuses_one_that_is_wrong(monkeypatch) -> None:
    record = sampler.run(blocks=2, units=2)
    assert set(record["matches"]) == set(sampler.CASES)
    json.dumps(record, allow_nan=False)
    monkeypatch.setattr(sampler.reference, "kept_mask", lambda logit, **_: logit > 1e9)
    with pytest.raises(Disagreement):
        sampler.run(blocks=2, units=2)


def test_the_command_knows_the_subjects() -> None:
    assert benchmarks.SUBJECTS == benchmark.subjects()


def test_bench_prints_and_stores(tmp_path, monkeypatch, capsys) -> None:
    record = {"tables": [{"title": "speed", "columns": ["", "ms"], "rows": [["ours", 1.5]]}]}
    monkeypatch.setattr(sampler, "run", lambda: record)
    path = tmp_path / "out.json"
    command.run("sampler", path)
    assert json.loads(path.read_text())["subjects"]["sampler"] == record
    printed = capsys.readouterr().out
    assert "1.50" in printed
    assert str(path) in printed


# ---------------------------------------------------------------------------- pytest

FIXTURE_TEST = """
from benchmarks.versus import Block, Contestant

def test_two(versus):
    ours, peer = Block("", (0.001, 0.001)), Block("", (0.002, 0.002))
    pair = Contestant("ours", lambda: ours), Contestant("peer", lambda: peer)
    assert versus(pair, 5).ratio("ours", "peer").verdict == "faster"
"""


def test_the_fixture_hands_its_samples_to_pytest_benchmark(tmp_path) -> None:
    pytest.importorskip("pytest_benchmark")
    (tmp_path / "conftest.py").write_text(Path(results.FOLDER.parent, "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(FIXTURE_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "--benchmark-json=out.json", "."]
    # In a worker of pytest-xdist, known by its variables, pytest-benchmark measures nothing.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    plain["PYTHONPATH"] = str(benchmark.CHECKOUT)
    done = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (stored,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    (match,) = stored["extra_info"]["matches"]
    assert stored["stats"]["rounds"] == 5 == len(match["contestants"]["peer"]["blocks"])
    assert stored["stats"]["min"] == pytest.approx(0.002)  # a block: twice a millisecond


# ------------------------------------------------------------------------- attention


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_attention_says_that_it_needs_a_gpu(tmp_path, capfd) -> None:
    with pytest.raises(Unavailable, match="it needs an NVIDIA GPU, found none"):
        attention.run()
    assert benchmark.run("attention", tmp_path / "results.json") == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("benchmarks: subject 'attention' cannot run here: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mask", reference_attention.MASKS)
def test_attention_peers_get_the_mask_of_the_definition(mask) -> None:
    plan = attention.Plan()
    at = torch.arange(plan.length)
    shown = attention.shows(plan, mask)(0, 0, at[:, None], at[None, :])
    assert torch.equal(shown, reference_attention.visible(mask, plan.length, **plan.mask))


def test_attention_that_is_wrong_is_refused() -> None:
    g = torch.Generator().manual_seed(0)
    *leaves, do = (torch.randn(2, 1, 576, 8, generator=g) for _ in range(4))
    leaves = [x.requires_grad_() for x in leaves]
    paper = attention.Plan().mask
    out = reference_attention.attention(*leaves, mask="row", **paper)
    found = (out, *torch.autograd.grad(out, leaves, do))
    attention.check("ours", found, leaves, do, "row", paper)
    with pytest.raises(Disagreement, match="ours, column: relative error"):
        attention.check("ours", found, leaves, do, "column", paper)
    with pytest.raises(Disagreement, match="ours, row"):
        attention.check("ours", (*found[:3], found[3] * 1.05), leaves, do, "row", paper)


def test_attention_is_compared_with_the_best_peer() -> None:
    match = match_of(mas_fast=[1.0, 1.0], slow=[3.0, 3.0], fast=[1.2, 1.2])
    goal = attention.goal(match, "causal", 1.25)
    assert goal.passed is False
    assert goal.figure == 1.2
    assert goal.detail.startswith("fast")
    assert attention.goal(match_of(mas_fast=[1.0]), "row", 1.5).passed is None
