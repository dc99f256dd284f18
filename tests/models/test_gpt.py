"""gpt.py: shapes, causality, incremental decoding, the loss, the cost accounting."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mas_fast.models.gpt import GPT, PRESETS, GPTConfig, preset
from mas_fast.ops import dispatch
from mas_fast.ops.reference.attention import visible
from mas_fast.streams import Stream, Streams
from random_gpt import random_model, random_tokens

TINY = preset("tiny")
ODD = (
    GPTConfig(  # 3 heads of 6, a vocabulary of 13, a grid that is not square, one stream with none
        Streams([Stream("text", 5, 13, pad=0), Stream("seg", 6, 7, (2, 3)), Stream("img", 4, 11)]),
        dim=18,
        layers=3,
        heads=3,
        mlp=50,
        positions="grid",
        qk_norm=True,
    )
)
MASKED = dataclasses.replace(
    TINY, layers=4, attention=("row", "column", "causal", "conv"), conv_kernel=3
)
ROW = dataclasses.replace(TINY, attention="row")
CONFIGS = pytest.mark.parametrize(
    "config", [TINY, ODD, MASKED, ROW], ids=["tiny", "odd", "masked", "row"]
)


# ---------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("name", "count"), [("mini-270m", 271_337_472), ("mindalle-1.3b", 1_291_081_728)]
)
def test_presets_have_exactly_this_many_parameters(name, count):
    model = GPT(preset(name))
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.parameters_count() == count


@pytest.mark.parametrize("config", [*PRESETS.values(), ODD], ids=[*PRESETS, "odd"])
def test_weight_shapes_are_those_of_the_state_dict(config):
    state = GPT(config).state_dict()
    assert [(k, tuple(v.shape)) for k, v in state.items()] == list(config.weight_shapes().items())


def test_init_is_gpt2s_and_reproducible():
    config = dataclasses.replace(TINY, dim=128, layers=8, mlp=512, qk_norm=True)
    config = dataclasses.replace(
        config, streams=Streams([Stream("norm", 32, 500, pad=0), *TINY.streams])
    )
    model, again = GPT.create(config, seed=3), GPT.create(config, seed=3)
    for (name, a), b in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b), name
        parts = name.split(".")
        if parts[-1] == "bias":
            assert (a == 0).all(), name
        elif "norm" in parts[-2] and parts[0] not in ("embed", "position", "head"):
            assert (a == 1).all(), name
        else:
            expected = 0.02 / (4 if parts[-2] in ("proj", "down") else 1)  # sqrt(2 * 8) = 4
            assert a.std().item() == pytest.approx(expected, rel=0.1), name
    assert not torch.equal(GPT.create(config, seed=4).norm.weight, torch.zeros(128))
    assert not torch.equal(
        GPT.create(config, seed=4).embed["text"].weight, model.embed["text"].weight
    )


# ---------------------------------------------------------------------- forward


def by_hand(model: GPT, tokens: torch.Tensor) -> list[torch.Tensor]:
    """The definition, from the state dict: for each position, logits over the next one's stream."""
    config, w = model.config, model.state_dict()
    rows, length = tokens.shape
    embedded = []
    for position in range(length):
        stream = config.streams.at(position)
        index = position - config.streams.offset(stream.name)
        if config.positions == "grid" and stream.grid:
            row, column = divmod(index, stream.grid[1])
            where = w[f"position.{stream.name}.row.weight"][row]
            where = where + w[f"position.{stream.name}.column.weight"][column]
        else:
            where = w[f"position.{stream.name}.weight"][index]
        embedded.append(w[f"embed.{stream.name}.weight"][tokens[:, position]] + where)
    x = torch.stack(embedded, 1)

    def norm(x, name):
        return F.layer_norm(x, (config.dim,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def rms(x, name):
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"]

    for i, mask in enumerate(config.masks):
        block, hidden = f"blocks.{i}", ~visible(mask, length, **config.mask_layout)
        q, k, v = linear(norm(x, f"{block}.norm1"), f"{block}.attention.qkv").chunk(3, -1)
        heads = []
        for h in range(config.heads):
            part = slice(h * config.head_dim, (h + 1) * config.head_dim)
            qh, kh = q[..., part], k[..., part]
            if config.qk_norm:
                qh = rms(qh, f"{block}.attention.q_norm")
                kh = rms(kh, f"{block}.attention.k_norm")
            scores = qh @ kh.mT / config.head_dim**0.5
            heads.append(scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v[..., part])
        x = x + linear(torch.cat(heads, -1), f"{block}.attention.proj")
        up = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.up")
        up = up * 0.5 * (1 + torch.erf(up / 2**0.5))
        x = x + linear(up, f"{block}.mlp.down")
    x = norm(x, "norm")
    last = min(length, config.streams.length - 1)
    names = [config.streams.at(position + 1).name for position in range(last)]
    return [x[:, n] @ w[f"head.{name}.weight"].T for n, name in enumerate(names)]


@CONFIGS
def test_forward_is_the_definition(config):
    model, tokens = random_model(config), random_tokens(config, 2)
    logits = model(tokens)
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        s.name: (2, s.length - (i == 0), s.vocab) for i, s in enumerate(config.streams)
    }
    found = [row for name in config.streams.names for row in logits[name].unbind(1)]
    for a, b in zip(found, by_hand(model, tokens), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@CONFIGS
def test_a_prefix_has_the_logits_of_the_whole(config):
    model, tokens = random_model(config), random_tokens(config, 2).int()
    whole = model(tokens)
    for length in range(1, config.streams.length + 1):
        for name, value in model(tokens[:, :length]).items():
            torch.testing.assert_close(
                value, whole[name][:, : value.shape[1]], rtol=1e-9, atol=1e-11
            )
    total = sum(value.shape[1] for value in model(tokens[:, :7]).values())
    assert total == 7


@CONFIGS
def test_no_position_sees_a_later_token(config):
    model, tokens = random_model(config), random_tokens(config, 1)
    whole = torch.cat([value.flatten() for value in model(tokens).values()])
    widths = [config.streams.at(n + 1).vocab for n in range(config.streams.length - 1)]
    for position in range(config.streams.length - 1):
        other = tokens.clone()
        other[0, position] = (other[0, position] + 1) % config.streams.at(position).vocab
        changed = torch.cat([value.flatten() for value in model(other).values()]) != whole
        before = sum(widths[:position])
        assert not changed[:before].any()
        assert changed[before:].any()


@CONFIGS
@pytest.mark.parametrize(("prompt", "window"), [(1, 1), (3, 1), (None, 1), (1, 5), (3, 64)])
def test_teacher_forced_is_incremental_decoding(config, prompt, window):
    model, tokens = random_model(config), random_tokens(config, 3)
    length = config.streams.length
    prompt = prompt or length - 1
    whole = [row for value in model(tokens).values() for row in value.unbind(1)]
    cache = model.new_cache(3, length - 1)
    cache.k.fill_(torch.nan), cache.v.fill_(torch.nan)  # what is not written must not be read
    found = [model.prefill(tokens[:, :prompt], cache)]
    while prompt + len(found) - 1 < length - 1:
        n = prompt + len(found) - 1
        predicted = config.streams.slice(config.streams.at(n + 1).name)
        last = min(n + window, predicted.stop - 1)
        found += model.decode(tokens[:, n:last], n, cache).unbind(1)
    for a, b in zip(found, whole[prompt - 1 :], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
        assert not a.requires_grad


@CONFIGS
def test_precision(config):
    """fp32 within 1e-4 of fp64; bf16 within four of its own rounding steps of the output's size."""
    tokens = random_tokens(config, 2)
    truth = random_model(config)
    exact = torch.cat([value.flatten() for value in truth(tokens).values()])
    for dtype, allowed in ((torch.float32, 1e-4), (torch.bfloat16, 2**-6 * exact.abs().max())):
        model = random_model(config, dtype)
        values = model(tokens)
        assert all(value.dtype == dtype for value in values.values())
        found = torch.cat([value.flatten() for value in values.values()]).double()
        assert (found - exact).abs().max() <= allowed, dtype


def test_the_meta_device_gives_shapes():
    model = GPT(preset("mini-270m"))
    logits = model(torch.zeros(2, 576, dtype=torch.int64, device="meta"))
    shapes = {name: list(value.shape) for name, value in logits.items()}
    assert shapes == {"text": [2, 63, 16384], "seg": [2, 256, 1024], "img": [2, 256, 16384]}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.zeros(2, 41, dtype=torch.int64), r"shape \[2, 41\], expected \[B, 1..40\]"),
        (torch.zeros(2, 0, dtype=torch.int64), r"shape \[2, 0\]"),
        (torch.zeros(8, dtype=torch.int64), r"shape \[8\]"),
        (torch.zeros(2, 8), "dtype torch.float32, expected torch.int64 or torch.int32"),
    ],
)
def test_bad_tokens_are_named(tokens, message):
    with pytest.raises(ValueError, match=message):
        GPT.create(TINY)(tokens)
    with pytest.raises(ValueError, match=message):
        GPT.create(TINY).loss(tokens)


# ---------------------------------------------------------------------- the loss


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_loss_is_the_weighted_mean_of_stream_means(dtype):
    model, tokens = random_model(TINY, dtype), random_tokens(TINY, 3)
    tokens[0, 3:8] = 0
    tokens[1, 1:8] = 0
    loss, parts = model.loss(tokens)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    means = []
    for stream in TINY.streams:
        where = TINY.streams.predicting(stream.name)
        logp = model(tokens)[stream.name].to(loss.dtype).log_softmax(-1)
        total = []
        for b in range(3):
            for n in range(where.start, where.stop):
                target = tokens[b, n + 1]
                if stream.name != "text" or target != 0:
                    total.append(-logp[b, n - where.start, target])
        means.append(torch.stack(total).mean())
        torch.testing.assert_close(parts[stream.name], means[-1])
    torch.testing.assert_close(loss, (means[0] + means[1] + 7 * means[2]) / 9)


def test_padding_is_attended_but_is_no_target():
    model, tokens = random_model(TINY), random_tokens(TINY, 1)
    tokens[0, 4:8] = 0
    _, before = model.loss(tokens)
    with torch.no_grad():
        model.embed["text"].weight[0] *= -3
    _, after = model.loss(tokens)
    assert before["text"] == after["text"]  # nothing before the padding sees it
    assert before["seg"] != after["seg"]
    assert before["img"] != after["img"]
    tokens[0, :8] = 0  # the null caption: no text target at all
    loss, parts = model.loss(tokens)
    assert parts["text"] == 0
    torch.testing.assert_close(loss, (parts["seg"] + 7 * parts["img"]) / 9)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@CONFIGS
def test_unseen_tokens_are_positions_and_stay_targets(config):
    model, tokens = random_model(config), random_tokens(config, 4)
    unseen = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    losses = model.loss(tokens, masked=unseen)[1]
    zero = GPT.create(config).double()  # with a token more in each stream, whose embedding is zero
    zero.load_state_dict(model.state_dict())
    more = tokens.clone()
    for stream in config.streams:
        table = zero.embed[stream.name]
        blank = torch.zeros(1, config.dim, dtype=torch.float64)
        table.weight = torch.nn.Parameter(torch.cat([table.weight.detach(), blank]))
        where = config.streams.slice(stream.name)
        more[:, where].masked_fill_(unseen[:, where], stream.vocab)
    logits = zero(more)
    for stream in config.streams:
        where = config.streams.predicting(stream.name)
        wanted = tokens[:, where.start + 1 : where.stop + 1]
        pad = -100 if stream.pad is None else stream.pad
        expected = F.cross_entropy(logits[stream.name].flatten(0, 1), wanted.flatten(),
                                   ignore_index=pad)  # fmt: skip
        torch.testing.assert_close(losses[stream.name], expected)
    nothing = torch.zeros_like(unseen)
    assert torch.equal(model.loss(tokens, masked=nothing)[0], model.loss(tokens)[0])


def test_loss_wants_whole_sequences():
    with pytest.raises(ValueError, match="found 39 in a row, expected 8 or 24 or 40"):
        GPT.create(TINY).loss(random_tokens(TINY, 1)[:, :39])


def test_loss_of_the_first_streams():
    model, tokens = random_model(TINY), random_tokens(TINY, 3)
    _, whole = model.loss(tokens)
    loss, parts = model.loss(tokens[:, :24])
    assert list(parts) == ["text", "seg"]
    for name, value in parts.items():
        torch.testing.assert_close(value, whole[name])
    torch.testing.assert_close(loss, (parts["text"] + parts["seg"]) / 2)
    assert model.flops_per_sequence(24) < 24 / 40 * model.flops_per_sequence()


def test_a_few_steps_learn_a_sequence_by_heart():
    torch.manual_seed(0)
    model, tokens = GPT.create(TINY), random_tokens(TINY, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss, _ = model.loss(tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


# ---------------------------------------------------------------------- cost accounting


@CONFIGS
def test_flops_are_those_that_torch_counts(config, monkeypatch):
    # Torch looks into no other.
    monkeypatch.setattr(dispatch, "default_impl", lambda *_: "reference")
    model, tokens = random_model(config), random_tokens(config, 1)
    length = config.streams.length
    cache = model.new_cache(1, length - 1)
    model.prefill(tokens[:, :1], cache)
    for position in range(1, length - 1):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model.decode(tokens[:, position : position + 1], position, cache)
        assert counter.get_total_flops() == model.flops_per_token(position + 1)
    # A whole forward and backward pass; torch counts the square of attention, we what is seen.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss, _ = model.loss(tokens)
        loss.backward()
    ours = model.flops_per_sequence()
    assert ours == sum(model.flops_per_token(n, training=True) for n in range(1, length))
    hidden = config.layers * (length - 1) ** 2 - sum(map(config.keys_seen, range(length - 1)))
    assert counter.get_total_flops() == ours + 3 * 4 * config.dim * hidden
    for context in (0, length):
        with pytest.raises(ValueError, match=f"context: found {context}"):
            model.flops_per_token(context)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@CONFIGS
def test_bytes_are_those_of_the_tensors(config, dtype):
    model = GPT.create(config, dtype=dtype)
    cache = model.new_cache(3, 10)
    assert cache.k.nbytes + cache.v.nbytes == 30 * model.kv_bytes_per_token(dtype)
    state = model.state_dict()
    for position in range(config.streams.length - 1):
        head = f"head.{config.streams.at(position + 1).name}.weight"
        read = (
            sum(w.nbytes for k, w in state.items() if k.startswith(("blocks.", "norm.")))
            + state[head].nbytes
        )
        of_layer = (cache.k.nbytes + cache.v.nbytes) // (30 * config.layers)
        read += 3 * config.keys_seen(position) * of_layer
        assert model.decode_bytes(position, 3, dtype, dtype) == read
    with pytest.raises(ValueError, match="position: found -1"):
        model.decode_bytes(-1, 1, dtype, dtype)


def test_the_known_costs_of_the_270m_preset():
    model = GPT(preset("mini-270m"))
    assert model.kv_bytes_per_token(torch.bfloat16) == 64 * 1024
    weights = model.decode_bytes(400, 1, torch.bfloat16, torch.int8) - 401 * 32 * 1024
    assert weights == pytest.approx(437e6, rel=2e-3)
    per_sample = sum(model.flops_per_token(n, training=True) for n in range(1, 576))
    assert per_sample == pytest.approx(0.763e12, rel=5e-3)
