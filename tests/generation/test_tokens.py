"""Both engines against a loop without a cache."""

import importlib.util
import warnings

import pytest
import torch

from mas_fast.bundle import load_gpt, save_gpt
from mas_fast.generation import CppEngine, EagerEngine, generate_tokens, stream_tokens
from mas_fast.models.gpt import GPT, preset
from mas_fast.ops import reference
from mas_fast.sampling_params import Sampling
from mas_fast.streams import Stream, Streams
from random_gpt import peaked

STREAMS = preset("tiny").streams
PROMPT = torch.tensor(
    [[5, 9, 3, 0, 0, 0, 0, 0], [7, 1, 1, 2, 60, 3, 0, 0], [63, 0, 0, 0, 0, 0, 0, 0]]
)
SAMPLING = {"temperature": 0.9, "top_k": {"img": 20}, "top_p": {"seg": 0.9, "img": 0.95}}
MASKED = [{"attention": "conv", "conv_kernel": 3}, {"attention": ("row", "column")}]
GUIDED = {"guidance": {"seg": 2.0, "img": 4.0}, **SAMPLING}
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("mas_fast._engine") is None,
    reason="mas_fast._engine is not built: pip install -e .",
)


@pytest.fixture(scope="module")
def model() -> GPT:
    return peaked()


def logits_at(model: GPT, tokens: torch.Tensor, position: int) -> torch.Tensor:
    """[B, V] for the token at `position`, by a full forward pass without cache."""
    with torch.no_grad():
        return model(tokens[:, :position])[STREAMS.at(position).name][:, -1].float()


def choices(position: int, options: dict) -> dict:
    """The arguments of the sampler at a position."""
    how = {}
    for name, value in options.items():
        if isinstance(value, dict):
            value = value.get(STREAMS.at(position).name, getattr(Sampling(), name))
        how[name] = value
    return how


def uncond_at(model: GPT, tokens: torch.Tensor, position: int, null=None) -> torch.Tensor:
    other = tokens.clone()
    other[:, :8] = 0 if null is None else null
    return logits_at(model, other, position)


def by_hand(model, prompt, samples=1, seed=0, first_sample=0, forced=None, null=None, **options):
    """The definition: one full pass per token and row kind, then reference.sample."""
    rows = prompt.repeat_interleave(samples, 0)
    tokens = torch.full((len(rows), STREAMS.length), -1)
    tokens[:, :8] = rows
    numbers = (torch.arange(samples) + first_sample).repeat(len(prompt))
    for position in range(8, STREAMS.length):
        how = choices(position, options)
        uncond = None
        if how.get("guidance", 1) != 1:
            uncond = uncond_at(model, tokens, position, null)
        cond = logits_at(model, tokens, position)
        token = reference.sample(
            cond, uncond=uncond, seed=seed, sample=numbers, position=position, **how
        )
        if forced is not None:
            given = forced[:, position].repeat_interleave(samples)
            token = torch.where(given >= 0, given, token)
        tokens[:, position] = token
    return tokens


def assert_same(model, found, expected, *, seed=0, samples=1, first_sample=0, **options):
    """Equal, or first different where the best two scores lie within 1e-3, which is counted."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == torch.int64
    ties = 0
    for row in (found != expected).any(1).nonzero().flatten().tolist():
        position = int((found[row] != expected[row]).nonzero()[0])
        how = choices(position, options)
        guidance, temperature = how.pop("guidance", 1.0), how.pop("temperature", 1.0)
        prefix = expected[row : row + 1]
        uncond = uncond_at(model, prefix, position) if guidance != 1 else None
        logit = reference.guided_logits(
            logits_at(model, prefix, position), uncond, guidance, temperature
        )
        sample = torch.tensor([first_sample + row % samples])
        score = logit + reference.gumbel_noise(
            logit.shape[1], seed, sample, torch.tensor([position])
        )
        score = score[0] if temperature else logit[0]
        # A near tie of the draw, or of the weights at the border of what is kept.
        kept = reference.kept_mask(logit, temperature=temperature or 1.0, **how)[0]
        best = score[kept].topk(2).values if kept.sum() > 1 else None
        border = logit[0][kept].min() - logit[0][~kept].max() if not kept.all() else torch.inf
        assert border < 1e-3 or (best is not None and best[0] - best[1] < 1e-3), (row, position)
        ties += 1
    if ties:
        warnings.warn(f"{ties} of {len(found)} rows differ after scores within 1e-3", stacklevel=2)
    assert ties <= max(1, len(found) // 10)


# ---------------------------------------------------------------------- the eager engine


@pytest.mark.parametrize("options", [{}, SAMPLING, GUIDED, {"temperature": 0.0}], ids=str)
def test_tokens_are_those_of_the_definition(model, options):
    found = generate_tokens(model, PROMPT, num_samples=2, seed=11, **options)
    expected = by_hand(model, PROMPT, 2, 11, **options)
    assert torch.equal(found[:, :8], PROMPT.repeat_interleave(2, 0))
    assert_same(model, found, expected, seed=11, samples=2, **options)
    for stream in STREAMS:
        part = found[:, STREAMS.slice(stream.name)]
        assert 0 <= part.min()
        assert part.max() < stream.vocab


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "changes", [{"positions": "flat"}, {"positions": "grid"}, *MASKED], ids=str
)
def test_other_dtypes_grids_and_masks(dtype, changes):
    model = peaked(dtype, qk_norm=True, **changes)
    found = generate_tokens(model, PROMPT, num_samples=2, **GUIDED)
    assert torch.equal(found, generate_tokens(model, PROMPT, num_samples=2, **GUIDED))
    assert found.min() >= 0
    if dtype == torch.float32:
        assert_same(model, found, by_hand(model, PROMPT, 2, **GUIDED), samples=2, **GUIDED)


def test_seed_and_sample_index_decide(model):
    tokens = generate_tokens(model, PROMPT, num_samples=4, seed=2**64 - 1)
    again = generate_tokens(EagerEngine(model), PROMPT, num_samples=4, seed=2**64 - 1)
    assert torch.equal(tokens, again)
    assert len({tuple(row) for row in tokens.tolist()}) == 12
    assert not torch.equal(tokens, generate_tokens(model, PROMPT, num_samples=4, seed=0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_picture_does_not_depend_on_its_batch(dtype):
    model = peaked(dtype)
    together = generate_tokens(model, PROMPT, num_samples=3, seed=5, **GUIDED)
    for b in range(3):
        for n in range(3):
            alone = generate_tokens(model, PROMPT[b], first_sample=n, seed=5, **GUIDED)
            row = together[b * 3 + n : b * 3 + n + 1]
            assert_same(model, alone, row, seed=5, first_sample=n, **GUIDED)


def test_guidance_1_is_no_guidance(model):
    plain = generate_tokens(model, PROMPT, seed=3, **SAMPLING)
    for one in (1, 1.0, {"seg": 1.0}, {"text": 5.0}, {}):
        assert torch.equal(generate_tokens(model, PROMPT, seed=3, guidance=one, **SAMPLING), plain)
    seg = generate_tokens(model, PROMPT, seed=3, guidance={"img": 3.0}, **SAMPLING)
    assert torch.equal(seg[:, :24], plain[:, :24])  # the scene has no guidance here
    assert not torch.equal(seg, plain)
    assert not torch.equal(generate_tokens(model, PROMPT, seed=3, guidance=3.0, **SAMPLING), plain)


def test_guidance_0_ignores_the_prompt(model):
    tokens = generate_tokens(model, PROMPT, guidance=0.0, stop=9)
    expected = generate_tokens(model, [[0]], stop=9)
    assert (tokens[:, 8] == expected[0, 8]).all()


def test_another_null_caption(model):
    null = [4, 4, 4]
    found = generate_tokens(model, PROMPT, null=null, guidance=3.0)
    padded = torch.tensor([4, 4, 4, 0, 0, 0, 0, 0])
    assert_same(model, found, by_hand(model, PROMPT, null=padded, guidance=3.0), guidance=3.0)
    assert not torch.equal(found, generate_tokens(model, PROMPT, guidance=3.0))


@pytest.mark.parametrize("what", ["scene", "part of a scene", "half a picture", "rows differ"])
def test_forced_tokens(model, what, poison_empty):
    forced = torch.full((3, 40), -1)
    donor = generate_tokens(model, PROMPT, seed=99)
    where = {
        "scene": range(8, 24),
        "part of a scene": (9, 12, 13, 20),
        "half a picture": range(8, 32),
        "rows differ": range(8, 24),
    }[what]
    forced[:, list(where)] = donor[:, list(where)]
    if what == "rows differ":
        forced[1, 10:] = -1
    options = {"seed": 4, "forced": forced, **GUIDED}
    found = generate_tokens(model, PROMPT, num_samples=2, **options)
    given = forced.repeat_interleave(2, 0)
    assert torch.equal(found[given >= 0], given[given >= 0])
    expected = by_hand(model, PROMPT, 2, **options)
    assert_same(model, found, expected, seed=4, samples=2, **GUIDED)


def test_forced_tokens_that_the_model_would_draw_change_nothing(model):
    tokens = generate_tokens(model, PROMPT, seed=6, **GUIDED)
    forced = tokens.clone()
    forced[:, 30:] = -1
    again = generate_tokens(model, PROMPT, seed=6, forced=forced, **GUIDED)
    assert_same(model, again, tokens, seed=6, **GUIDED)
    assert torch.equal(generate_tokens(model, PROMPT, forced=tokens), tokens)
    one = generate_tokens(model, PROMPT[0], forced=forced[0], seed=6, **GUIDED)
    assert_same(model, one, tokens[:1], seed=6, **GUIDED)


def test_stop_leaves_the_rest_open(model):
    whole = generate_tokens(model, PROMPT, **GUIDED)
    for stop in (8, 9, 24, 40):
        tokens = generate_tokens(model, PROMPT, stop=stop, **GUIDED)
        assert torch.equal(tokens[:, :stop], whole[:, :stop])
        assert (tokens[:, stop:] == -1).all()


def test_streaming_gives_the_same_tokens_in_steps(model):
    whole = generate_tokens(model, PROMPT, num_samples=2, **GUIDED)
    steps = list(stream_tokens(model, PROMPT, num_samples=2, every=7, **GUIDED))
    assert [int((step[0] >= 0).sum()) for step in steps] == [15, 22, 29, 36, 40]
    for step in steps:
        assert torch.equal(step[step >= 0], whole[step >= 0])
    with pytest.raises(ValueError, match="every: found 0"):
        stream_tokens(model, PROMPT, every=0)
    with pytest.raises(ValueError, match="id 64"):
        stream_tokens(model, [64])  # at the call, not at the first step


def test_progress(model, capsys, terminal):
    calls = []
    generate_tokens(model, PROMPT, progress=lambda *now: calls.append(now))
    assert calls == [(n, 40) for n in range(9, 41)]
    generate_tokens(model, PROMPT, progress=True)
    assert "40/40" in capsys.readouterr().err
    generate_tokens(model, PROMPT, progress=False)
    assert capsys.readouterr().err == ""


def test_a_bundle_path_is_a_model(tmp_path):
    model = peaked(torch.float32)
    save_gpt(tmp_path, model)
    expected = generate_tokens(model, PROMPT, **GUIDED)
    for path in (tmp_path, str(tmp_path)):
        assert torch.equal(generate_tokens(path, PROMPT, engine="eager", **GUIDED), expected)


def test_mistakes_about_the_engine(model):
    with pytest.raises(
        ValueError, match="engine: found 'onnx', expected one of ..cpp', 'graph', 'eager'"
    ):
        generate_tokens(model, PROMPT, engine="onnx")
    with pytest.raises(ValueError, match="dtype: found 'int8', expected one of .*'eager'"):
        generate_tokens(model, PROMPT, dtype="int8")
    with pytest.raises(TypeError, match="model: found int, expected a GPT, the path of a bundle"):
        generate_tokens(5, PROMPT)
    with pytest.raises(ValueError, match="engine: found 'eager' .*: a EagerEngine has"):
        generate_tokens(EagerEngine(model), PROMPT, engine="eager")
    with pytest.raises(TypeError, match="unexpected keyword argument 'topk'"):
        generate_tokens(model, PROMPT, topk=5)
    broken = peaked()
    torch.nn.init.constant_(broken.head["seg"].weight, torch.nan)
    with pytest.raises(ValueError, match="NaN"):
        generate_tokens(broken, PROMPT)


# ---------------------------------------------------------------------- the C++ engine


@needs_engine
@pytest.mark.parametrize("options", [{}, GUIDED, {"temperature": 0.0}], ids=str)
@pytest.mark.parametrize("changes", [{}, {"positions": "grid", "qk_norm": True}, *MASKED], ids=str)
def test_cpp_gives_the_eager_tokens(tmp_path, changes, options):
    model = peaked(torch.float32, **changes)
    save_gpt(tmp_path, model)
    expected = generate_tokens(model, PROMPT, num_samples=2, seed=8, **options)
    for source in (model, tmp_path):
        found = generate_tokens(
            source,
            PROMPT,
            num_samples=2,
            seed=8,
            engine="cpp",
            dtype="fp32",
            kv_dtype="fp32",
            **options,
        )
        assert_same(model, found, expected, seed=8, samples=2, **options)


@needs_engine
def test_cpp_reads_every_token_of_the_null_caption():
    """Whichever of its tokens changes, the eager engine's tokens change and the C++ ones alike."""
    model = peaked(torch.float32)
    options = {"guidance": 4.0, "temperature": 0.0}
    native_engine = CppEngine(model, dtype="fp32", kv_dtype="fp32")
    seen = set()
    for changed in range(8):
        null = torch.zeros(8, dtype=torch.int64)
        null[changed] = 17
        expected = generate_tokens(model, PROMPT[:1], null=null, **options)
        assert torch.equal(
            generate_tokens(native_engine, PROMPT[:1], null=null, **options), expected
        )
        seen.add(tuple(expected[0].tolist()))
    assert len(seen) > 4


@needs_engine
def test_cpp_forced_tokens_stop_streaming_and_progress():
    model = peaked(torch.float32)
    engine = CppEngine(model, dtype="fp32", kv_dtype="fp32", threads=1)
    forced = generate_tokens(model, PROMPT, seed=99)
    forced[:, [10, 12, *range(30, 40)]] = -1
    options = {"seed": 4, "forced": forced, **GUIDED}
    whole = generate_tokens(engine, PROMPT, num_samples=2, **options)
    expected = generate_tokens(model, PROMPT, num_samples=2, **options)
    assert_same(model, whole, expected, seed=4, samples=2, **GUIDED)
    tokens = generate_tokens(engine, PROMPT, num_samples=2, stop=35, **options)
    assert torch.equal(tokens[:, :35], whole[:, :35])
    assert (tokens[:, 35:] == -1).all()
    steps = list(stream_tokens(engine, PROMPT, num_samples=2, every=7, **options))
    assert torch.equal(steps[-1], whole)
    assert all(torch.equal(step[step >= 0], whole[step >= 0]) for step in steps)
    calls = []
    generate_tokens(engine, PROMPT, progress=lambda *now: calls.append(now))
    assert calls == sorted(set(calls))
    assert calls[-1] == (40, 40)
    calls.clear()
    generate_tokens(engine, PROMPT, speculate=1, progress=lambda *now: calls.append(now))
    assert [now for now in calls if now[0] > 8] == [(n, 40) for n in range(9, 41)]


@needs_engine
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_cpp_tokens_do_not_depend_on_the_batch(dtype):
    engine = CppEngine(peaked(torch.bfloat16), dtype=dtype, kv_dtype="bf16", threads=1)
    together = generate_tokens(engine, PROMPT, num_samples=3, **GUIDED)
    for b in range(3):
        for n in range(3):
            alone = generate_tokens(engine, PROMPT[b], first_sample=n, **GUIDED)
            assert torch.equal(alone[0], together[b * 3 + n])


@needs_engine
@pytest.mark.parametrize("name", ["attention.qkv", "mlp.down", "embed.text"])
def test_both_engines_refuse_what_overflows(name):
    """Scores, then variances, beyond fp32: NaN, not the tokens of what is left."""
    model = peaked(torch.float32)
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if name in path:
                parameter.mul_(1e30)
    for engine in (EagerEngine(model), CppEngine(model, dtype="fp32", kv_dtype="fp32")):
        with pytest.raises(ValueError, match="NaN"):
            generate_tokens(engine, PROMPT, **SAMPLING)


@needs_engine
def test_both_engines_take_any_top_k():
    model = peaked(torch.float32)
    expected = generate_tokens(model, PROMPT, seed=2)
    for engine in (EagerEngine(model), CppEngine(model, dtype="fp32", kv_dtype="fp32")):
        for top_k in (64, 2**63, 10**30, {"img": 10**30}):
            found = generate_tokens(engine, PROMPT, seed=2, top_k=top_k)
            assert_same(model, found, expected, seed=2)


@needs_engine
def test_streams_may_be_called_as_anything(tmp_path):
    """Also as the methods of the containers that hold their modules."""
    names = ["keys", "type", "training", "forward", "add_module"]
    streams = Streams(Stream(name, 3, 16, pad=0) for name in names)
    model = peaked(torch.float32, streams=streams)
    save_gpt(tmp_path, model)
    options = {"guidance": {"type": 2.0}, "top_k": {"keys": 3}, "seed": 1}
    expected = generate_tokens(model, [[1, 2, 3]], **options)
    for source in (tmp_path, model):
        engine = CppEngine(source, dtype="fp32", kv_dtype="fp32")
        assert torch.equal(generate_tokens(engine, [[1, 2, 3]], **options), expected)
    assert torch.equal(generate_tokens(load_gpt(tmp_path), [[1, 2, 3]], **options), expected)


@needs_engine
def test_cpp_names_an_unknown_dtype():
    with pytest.raises(ValueError, match="fp64"):
        generate_tokens(peaked(), PROMPT, engine="cpp", dtype="fp64")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_cpu_tokens(model):
    there = peaked().to("cuda")
    ours = generate_tokens(there, PROMPT, num_samples=2, seed=5, **GUIDED)
    assert torch.equal(ours.cpu(), generate_tokens(model, PROMPT, num_samples=2, seed=5, **GUIDED))
