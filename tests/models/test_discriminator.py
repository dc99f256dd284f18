"""discriminator.py: taming's names, the receptive field, the initial weights."""

import pytest
import torch

from mas_fast.models.discriminator import Discriminator

torch.set_num_threads(1)
# NLayerDiscriminator(input_nc=3, ndf=64, n_layers=3)
TAMING = {
    "main.0.weight": (64, 3, 4, 4),
    "main.0.bias": (64,),
    "main.2.weight": (128, 64, 4, 4),
    "main.5.weight": (256, 128, 4, 4),
    "main.8.weight": (512, 256, 4, 4),
    "main.11.weight": (1, 512, 4, 4),
    "main.11.bias": (1,),
} | {
    f"main.{i}.{name}": (width,) if name != "num_batches_tracked" else ()
    for i, width in ((3, 128), (6, 256), (9, 512))
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
}


def test_the_names_and_shapes_are_tamings():
    state = Discriminator().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == TAMING


@pytest.mark.parametrize(("layers", "patch"), [(2, 34), (3, 70)])
def test_a_logit_sees_one_patch(layers, patch):
    model = Discriminator(width=2, layers=layers).eval()
    x = torch.randn(1, 3, 128, 128, requires_grad=True)
    logits = model(x)
    assert logits.shape == (1, 1, 128 // 2**layers - 2, 128 // 2**layers - 2)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], x)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == patch


def test_init():
    torch.manual_seed(0)
    model = Discriminator(width=16)
    assert model.main[5].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.main[9].weight.mean().item() == pytest.approx(1, abs=0.01)
    assert model.main[9].weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert (model.main[9].bias == 0).all()


def test_too_small_a_picture_is_refused():
    assert Discriminator(width=2).eval()(torch.zeros(1, 3, 24, 25)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"found shape \[1, 3, 23, 64\], .* H, W >= 24"):
        Discriminator(width=2)(torch.zeros(1, 3, 23, 64))
