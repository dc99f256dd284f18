"""training/warm_start.py: what a GPT takes from another."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mas_fast.bundle import save_gpt
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.streams import Stream, Streams
from mas_fast.training.warm_start import warm_start

TEXT, IMG = Stream("text", 6, 50, pad=0), Stream("img", 9, 64, (3, 3))
SEG = Stream("seg", 4, 32, (2, 2))
TWO = GPTConfig(Streams([TEXT, IMG]), dim=32, layers=2, heads=4, mlp=64)
THREE = replace(TWO, streams=Streams([TEXT, SEG, IMG]))


def tokens(streams: Streams, rows: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randint(s.vocab, (rows, s.length), generator=generator) for s in streams]
    return torch.cat(parts, 1)


@pytest.fixture
def source(tmp_path) -> GPT:
    model = GPT.create(TWO, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():  # so that no gain is 1 and no bias 0
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_gpt(tmp_path / "bundle", model)
    return model


def test_seg_is_put_between_without_loss(tmp_path, source, monkeypatch) -> None:
    """All text logits are what they were; and with the scene hidden from the picture, so are all of
    img: the positions of the picture kept their own table."""
    model = GPT.create(THREE, seed=2)
    fresh = {name: weight.clone() for name, weight in model.state_dict().items()}
    kept = warm_start(model, tmp_path / "bundle")
    assert kept == ["embed.seg.weight", "position.seg.weight", "head.seg.weight"]
    for name, weight in model.state_dict().items():
        expected = fresh[name] if name in kept else source.state_dict()[name]
        assert torch.equal(weight, expected), name

    whole = tokens(THREE.streams)
    short = torch.cat([whole[:, :6], whole[:, 10:]], 1)
    expected = source(short)
    torch.testing.assert_close(model(whole)["text"], expected["text"])
    assert not torch.allclose(model(whole)["img"][:, 1:], expected["img"][:, 1:])

    def blind(q, k, v, is_causal):
        assert is_causal
        mask = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
        mask[10:, 6:10] = False  # the picture does not see the scene
        return real(q, k, v, attn_mask=mask)

    real = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", blind)
    torch.testing.assert_close(model(whole)["img"][:, 1:], expected["img"][:, 1:])


def test_another_vocabulary_and_length(tmp_path, source) -> None:
    longer = Stream("text", 8, 70, pad=0)
    shape = replace(TWO, streams=Streams([longer, replace(IMG, vocab=40)]))
    model = GPT.create(shape, seed=2)
    fresh = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert warm_start(model, tmp_path / "bundle") == []
    old, new = source.state_dict(), model.state_dict()
    for name, count in (("embed.text", 50), ("head.text", 50), ("position.text", 6)):
        name = f"{name}.weight"
        assert torch.equal(new[name][:count], old[name])
        assert torch.equal(new[name][count:], fresh[name][count:])
    for name in ("embed.img.weight", "head.img.weight"):
        assert torch.equal(new[name], old[name][:40])
    assert torch.equal(new["position.img.weight"], old["position.img.weight"])


@pytest.mark.parametrize("positions", ["flat", "grid"])
def test_a_grid_of_another_size_is_interpolated(tmp_path, positions) -> None:
    shape = replace(TWO, positions=positions)
    source = GPT.create(shape, seed=1)
    rows, columns = torch.arange(3.0)[:, None, None], torch.arange(3.0)[:, None]
    with torch.no_grad():  # a plane, which interpolation keeps inside the outermost centres
        if positions == "flat":
            plane = (10 * rows + columns).expand(3, 3, 32).flatten(0, 1)
            source.position["img"].weight.copy_(plane)
        else:
            source.position["img"].row.weight.copy_(10 * rows[:, 0].expand(3, 32))
            source.position["img"].column.weight.copy_(columns.expand(3, 32))
    save_gpt(tmp_path, source)
    model = GPT.create(replace(shape, streams=Streams([TEXT, Stream("img", 36, 64, (6, 6))])))
    warm_start(model, tmp_path)
    found = model.position["img"]().view(6, 6, 32)
    at = ((torch.arange(6.0) + 0.5) / 2 - 0.5).clamp(0, 2)
    expected = (10 * at[:, None] + at)[..., None].expand(6, 6, 32)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["dim", "layers", "positions", "qk_norm"])
def test_another_shape_is_refused(tmp_path, source, name) -> None:
    value = {"dim": 64, "layers": 3, "positions": "grid", "qk_norm": True}[name]
    model = GPT.create(replace(THREE, **{name: value}))
    with pytest.raises(ValueError, match=rf"found {name} = \S+, expected {value} as in the model"):
        warm_start(model, tmp_path / "bundle")
