"""decode_step.py under the interpreter: a pass against the model, what it launches, and that it
looks at nothing."""

import importlib.util
import os

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast import ops
from mas_fast.generation.decode_step import DecodeStep
from mas_fast.generation.step_weights import pack_weights
from step_gpts import LENGTH, STREAMS, small

pytestmark = pytest.mark.usefixtures("poison_empty")
KINDS = {
    "plain": {},
    "masks": {"attention": ("row", "column", "conv"), "conv_kernel": 3, "layers": 3},
    "norms": {"qk_norm": True, "positions": "grid"},
    "one head": {"heads": 1, "mlp": 100},
}


def random_tokens(rows: int) -> torch.Tensor:
    return torch.cat([torch.randint(0, s.vocab, (rows, s.length)) for s in STREAMS], 1)


def decoded(model, tokens, window: int) -> torch.Tensor:
    """The logits of all positions by passes over a window, [B, S - 1, largest V]; 0 beyond V."""
    step = DecodeStep(pack_weights(model, "fp32"), len(tokens), guided=False, window=window)
    step.tokens.copy_(tokens)
    step.end.fill_(LENGTH)
    step.begin()
    found = torch.zeros(len(tokens), LENGTH + window, 13)
    for start in range(0, LENGTH - 1, window):
        step.layers()
        for p in range(start, min(start + window, LENGTH - 1)):
            stream = STREAMS.at(p + 1)
            logits = step.head(stream.name).view(len(tokens), window, stream.vocab)
            found[:, p, : stream.vocab] = logits[:, p - start]
        step.skip()
    return found[:, : LENGTH - 1]


def expected(model, tokens) -> torch.Tensor:
    found = torch.zeros(len(tokens), LENGTH - 1, 13, dtype=torch.float64)
    with torch.no_grad():
        for name, logits in model(tokens).items():
            found[:, STREAMS.predicting(name), : logits.shape[2]] = logits
    return found


@pytest.mark.interpreted
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("rows", "window"), [(2, 5), pytest.param(3, 1, marks=pytest.mark.slow)])
def test_logits_are_those_of_the_model(changes, rows, window) -> None:
    """Over all borders of streams, and to the last position: as near as PyTorch's in fp32."""
    model, tokens = small(**changes), random_tokens(rows)
    found, pytorch = decoded(model, tokens, window), expected(model, tokens)
    exact = expected(model.double(), tokens)
    error, allowed = ((x - exact).abs().max() for x in (found, pytorch))
    assert error <= 2 * allowed + torch.finfo(torch.float32).eps * exact.abs().max()


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("rows", "window"),
    [(1, 16), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((2, 1), (8, 16)))],
)
def test_a_row_has_the_same_bits_whatever_is_beside_it(rows, window, rows_apart) -> None:
    """In 1, 2, 16 and 128 rows."""
    model, tokens = small(), random_tokens(8)
    alone = decoded(model, tokens[:1], 1)
    assert torch.equal(decoded(model, tokens[:rows], window)[:1], alone)


class Views(TorchDispatchMode):
    """Lets nothing through that computes, copies or looks at a value."""

    ALLOWED = {"slice", "select", "view", "unbind", "_unsafe_view", "alias"}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function._schema.name.removeprefix("aten::") in self.ALLOWED, function
        return function(*args, **(kwargs or {}))


@pytest.mark.interpreted
@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("score", [False, True])
def test_a_token_of_16_layers_takes_84_launches_and_no_look(guided, score, monkeypatch) -> None:
    from triton.runtime.interpreter import GridExecutor

    launches = []
    step = DecodeStep(pack_weights(small(layers=16), "fp32"), 2, guided=guided, window=4)
    launched = lambda self, *args, **kwargs: launches.append(self.fn.__name__)  # noqa: E731
    monkeypatch.setattr(GridExecutor, "__call__", launched)
    sampled = lambda *args, **kwargs: launches.append("sample_step")  # noqa: E731
    monkeypatch.setattr(ops, "sample_step", sampled)
    with Views():
        step.draw("img", score=score)
    layer = ["linear_kernel", "decode_attention_kernel", *["linear_kernel"] * 3]
    end = ["linear_kernel", "sample_step", "next_rows_kernel", "forced_likelihood_kernel"]
    assert launches == layer * 16 + (end if score else end[:-1])
    assert len(launches) <= 84


@pytest.mark.interpreted
def test_a_step_of_some_sequences_goes_on_as_they_would(rows_apart) -> None:
    """Also where they had their beginning from another one that is left out."""
    tokens = random_tokens(4)
    tokens[1:3, :5] = tokens[0, :5]
    weights = pack_weights(small(), "fp32")
    whole = DecodeStep(weights, 2, guided=True, window=2)
    whole.tokens.copy_(tokens)
    whole.end.fill_(LENGTH)
    for start in (0, 2, 4):
        whole.first.fill_(start)
        whole.begin()
        whole.layers()
    for cache in (whole.keys, whole.values):
        cache[:, 1:3, :, :4] = torch.nan
    whole.owner.copy_(torch.tensor([0, 0, 0, 3]))
    whole.shared.copy_(torch.tensor([0, 4, 4, 0]))
    part = DecodeStep(weights, 1, guided=True, window=2)
    part.copy(whole, torch.tensor([1]), 0)
    found = []
    for step in (whole, part):
        step.first.fill_(6)
        step.begin()
        step.layers()
        found.append(step.head("img").view(-1, 2, 13).clone())
    assert found[0].isfinite().all()
    assert torch.equal(found[0][[1, 3]], found[1])


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it starts this pytest")
def test_under_the_interpreter(run_interpreted) -> None:
    run_interpreted(__file__, "interpreted")


def test_buffers_are_as_the_sampler_wants_them() -> None:
    """Views of them are contiguous, and of its dtypes."""
    step = DecodeStep(pack_weights(small(), "fp32"), 3, guided=True, window=2)
    logits = torch.zeros(6, 13)
    step.first.fill_(LENGTH - 2)
    settings = [part[2] for part in (step.temperature, step.top_k, step.top_p)]
    arguments = (step.first[:3], step.forced, step.guidance, *settings, step.seed, step.sample)
    step.forced.fill_(5)
    ops.sample_step(logits, logits, *arguments, step.drawn, window=2, end=LENGTH)
    assert step.drawn.tolist() == [[5, -1]] * 3
