"""vq_losses.py: the weighted BCE against its one-hot definition, boxes, and the VQ-IMG loss."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from mas_fast.models.discriminator import Discriminator
from mas_fast.scene import LAYOUTS, VOID
from mas_fast.training import vq_losses
from mas_fast.training.vq_losses import (
    VQImageLoss,
    adaptive_weight,
    box_loss,
    crop_boxes,
    discriminator_loss,
    label_bce,
)

torch.set_num_threads(1)
FACE_PARTS = {"mini158": range(152, 157), "mas159": range(153, 158)}  # counted from 0
EDGE = {"mini158": 157, "mas159": 158}
BOTH = pytest.mark.parametrize("name", ["mini158", "mas159"])


def scene(name: str, rows: int, height: int, width: int, dtype=torch.float64):
    """Logits of which some are large, labels with faces and void, edges."""
    generator = torch.Generator().manual_seed(height)
    layout = LAYOUTS[name]
    values = torch.tensor([*layout.label_channels, *FACE_PARTS[name], VOID, VOID, 0])
    at = torch.randint(len(values), (rows, height, width), generator=generator)
    edges = torch.rand(rows, height, width, generator=generator) < 0.2
    shape = (rows, layout.channels, height, width)
    logits = 12 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.to(dtype), values[at].to(torch.uint8), edges


def one_hot_bce(logits: Tensor, labels: Tensor, edges: Tensor, name: str, alpha=20.0) -> Tensor:
    """The definition, with every target written out."""
    target = torch.zeros_like(logits)
    for channel in range(logits.shape[1]):
        target[:, channel] = labels == channel
    target[:, EDGE[name]] = edges.to(logits.dtype)
    weight = torch.ones(logits.shape[1], 1, 1, dtype=logits.dtype)
    weight[list(FACE_PARTS[name])] = alpha
    return F.binary_cross_entropy_with_logits(logits, target, weight)


# ---------------------------------------------------------------------- label_bce


@BOTH
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (16, 16)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_label_bce_is_torchs_with_whole_term_weights(
    name, height, width, memory_format, monkeypatch
):
    monkeypatch.setattr(vq_losses, "PIECE", 4000)  # several pieces, the last one smaller
    logits, labels, edges = scene(name, 2, height, width)
    logits = logits.contiguous(memory_format=memory_format)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = label_bce(ours, labels, edges, name), one_hot_bce(theirs, labels, edges, name)
    torch.testing.assert_close(loss, expected, rtol=1e-14, atol=0)
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-18)
    assert ours.grad.is_contiguous(memory_format=memory_format)


def test_label_bce_weighs_the_whole_term_of_a_face_part():
    """Of an absent face part too: pos_weight, which the public code uses, would not."""
    logits = torch.zeros(1, 158, 1, 1, dtype=torch.float64)
    labels, edges = torch.zeros(1, 1, 1, dtype=torch.uint8), torch.zeros(1, 1, 1, dtype=torch.bool)
    softplus = torch.log(torch.tensor(2.0)).double()
    loss = label_bce(logits, labels, edges, LAYOUTS["mini158"], alpha=20)
    torch.testing.assert_close(loss * 158, softplus * (153 + 5 * 20))


def test_label_bce_weighs_things_and_human_parts_apart():
    logits = torch.zeros(1, 158, 1, 1, dtype=torch.float64)
    labels, edges = torch.zeros(1, 1, 1, dtype=torch.uint8), torch.zeros(1, 1, 1, dtype=torch.bool)
    softplus = torch.log(torch.tensor(2.0)).double()
    loss = label_bce(logits, labels, edges, LAYOUTS["mini158"], alpha=20, things=3)
    # 80 things and 19 human parts, 5 face parts, 53 of stuff and the edge
    torch.testing.assert_close(loss * 158, softplus * ((80 + 19) * 3 + 5 * 20 + 54))


def test_a_void_pixel_is_pushed_to_no_label():
    logits = torch.zeros(1, 158, 1, 1, requires_grad=True)
    label_bce(
        logits, torch.full((1, 1, 1), VOID, dtype=torch.uint8), torch.ones(1, 1, 1) > 0, "mini158"
    ).backward()
    gradient = logits.grad.flatten()
    assert (gradient[:157] > 0).all()
    assert gradient[157] < 0  # the edge bit is known all the same


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_label_bce_in_low_precision_loses_what_rounding_the_logits_loses(dtype):
    logits, labels, edges = scene("mini158", 2, 9, 6, dtype)
    ours, exact = logits.clone().requires_grad_(), logits.double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = label_bce(ours, labels, edges, "mini158")
    assert loss.dtype == torch.float32
    expected = one_hot_bce(exact, labels, edges, "mini158")
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    loss.backward()
    expected.backward()
    eps = torch.finfo(dtype).eps
    floor = 20 * torch.finfo(torch.float32).eps / logits.numel()  # sigmoid - 1 in fp32
    assert ours.grad.dtype == dtype
    assert ((ours.grad.double() - exact.grad).abs() <= 2 * eps * exact.grad.abs() + floor).all()


def peak_bytes(run) -> int:
    """The most that `run` has allocated at any time, beyond what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    events = recorded.profiler.kineto_results.events()
    events = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, size in events:
        live += size
        peak = max(peak, live)
    return peak


def test_label_bce_never_has_a_one_hot(monkeypatch):
    monkeypatch.setattr(vq_losses, "PIECE", 1 << 17)
    logits, labels, edges = scene("mini158", 2, 64, 64, torch.float32)
    logits.requires_grad_()
    size = logits.numel() * 4  # 5 MB

    def forward(loss):
        with torch.no_grad():
            loss(logits, labels, edges, "mini158")

    def both(loss):
        torch.autograd.grad(loss(logits, labels, edges, "mini158"), logits)

    assert peak_bytes(lambda: forward(label_bce)) < 0.3 * size
    assert peak_bytes(lambda: both(label_bce)) < 1.4 * size  # the gradient, and a piece
    assert peak_bytes(lambda: forward(one_hot_bce)) > 1.9 * size
    assert peak_bytes(lambda: both(one_hot_bce)) > 2.9 * size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(1, 159, 2, 2)}, r"logits: found .* expected .*\[B, 158, H, W\]"),
        ({"logits": torch.zeros(1, 158, 2, 2, dtype=torch.int64)}, "logits: found torch.int64"),
        ({"labels": torch.zeros(1, 2, 3, dtype=torch.uint8)}, r"labels: .*found.*\[1, 2, 3\]"),
        ({"labels": torch.zeros(1, 2, 2, dtype=torch.int64)}, "labels: found torch.int64"),
        ({"edges": torch.zeros(1, 2, 2)}, "edges: found torch.float32"),
        ({"labels": torch.full((1, 2, 2), 157, dtype=torch.uint8)}, r"labels: found \[157\]"),
        ({"labels": torch.full((1, 2, 2), 200, dtype=torch.uint8)}, r"labels: found \[200\]"),
        ({"layout": "mini159"}, "layout: found 'mini159'"),
    ],
)
def test_label_bce_refuses(change, message):
    arguments = {
        "logits": torch.zeros(1, 158, 2, 2),
        "labels": torch.zeros(1, 2, 2, dtype=torch.uint8),
        "edges": torch.zeros(1, 2, 2, dtype=torch.bool),
        "layout": "mini158",
    }
    label_bce(**arguments)
    with pytest.raises(ValueError, match=message):
        label_bce(**arguments | change)


# ---------------------------------------------------------------------- boxes


def numbered(rows: int, height: int, width: int) -> Tensor:
    """Pixel (y, x) of picture b is (b, y, x)."""
    grid = torch.meshgrid(*(torch.arange(n) for n in (rows, height, width)), indexing="ij")
    return torch.stack(grid, 1).double()


def test_crops_are_x_then_y_and_keep_their_order():
    images = numbered(3, 20, 30)
    boxes = [[(4, 2, 8, 6), (0, 0, 30, 20)], [], torch.tensor([[26.0, 10, 30, 14]])]
    crops = crop_boxes(images, boxes, 4)
    assert crops.shape == (3, 3, 4, 4)
    torch.testing.assert_close(crops[0], images[0, :, 2:6, 4:8])
    torch.testing.assert_close(crops[2], images[2, :, 10:14, 26:30])
    whole = F.interpolate(images[:1], (4, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(crops[1], whole[0])


def test_boxes_are_grown_to_whole_pixels_cut_at_the_border_and_dropped_when_empty():
    images = numbered(1, 20, 30)
    boxes = [[(3.9, 1.2, 7.1, 4.8), (-5, -3, 4, 4), (40, 2, 50, 9), (5, 5, 5, 9), (9, 9, 3, 12)]]
    crops = crop_boxes(images, boxes, 4)
    assert len(crops) == 2
    torch.testing.assert_close(crops[0], images[0, :, 1:5, 3:8][..., :4], rtol=0, atol=1)
    torch.testing.assert_close(crops[1], images[0, :, :4, :4])
    assert crop_boxes(images, [torch.zeros(0, 4)], 4).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "found 0 lists, expected one for each of 1"),
        ([[(1, 2, 3)]], r"found \[1, 2, 3\]"),
        ([[(1, 2, float("nan"), 4)]], "found .*nan"),
    ],
)
def test_crop_boxes_refuses(boxes, message):
    with pytest.raises(ValueError, match=message):
        crop_boxes(torch.zeros(1, 3, 8, 8), boxes, 4)


class Toy(nn.Module):
    """A distance with a memory of the batches that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = []

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        self.batches.append(len(x))
        return (x.tanh() - y.tanh()).square().mean((1, 2, 3))


@pytest.mark.parametrize("count", [1, 4, 8, 19])
def test_box_loss_pairs_every_box_with_itself(count):
    """The pairing that a truncated cat(real, fake) breaks from four faces on."""
    generator = torch.Generator().manual_seed(count)
    images, fake = torch.randn(2, 2, 3, 24, 24, generator=generator, dtype=torch.float64)
    fake.requires_grad_()
    corners = torch.randint(0, 16, (count, 2), generator=generator)
    boxes = torch.cat([corners, corners + 8], 1)
    split = [boxes[: count // 3], boxes[count // 3 :]]
    toy = Toy()
    loss = box_loss(toy, images, fake, split, 8)
    expected = []
    for b, of_image in enumerate(split):
        for x0, y0, x1, y1 in of_image.tolist():
            real, made = (x[b, :, y0:y1, x0:x1].tanh() for x in (images, fake))
            expected.append((real - made).square().mean())
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    (gradient,) = torch.autograd.grad(loss, fake, retain_graph=True)
    (wanted,) = torch.autograd.grad(torch.stack(expected).mean(), fake)
    torch.testing.assert_close(gradient, wanted)
    assert max(toy.batches) <= 8


def test_no_boxes_are_a_loss_of_zero():
    fake = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = box_loss(Toy(), torch.randn(2, 3, 8, 8), fake, [[], []], 4)
    assert loss.item() == 0
    (loss + fake.sum()).backward()


# ---------------------------------------------------------------------- VQ-IMG


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv_out = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(x).tanh()


@pytest.fixture
def step_inputs():
    decoder, discriminator = Decoder(), Discriminator(width=4)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    reconstruction = decoder(torch.randn(2, 4, 32, 32, generator=generator))
    return decoder, discriminator, images, reconstruction


def test_gan_factor_starts_late_and_grows():
    criterion = VQImageLoss(gan_start=100, gan_warmup=3)
    factors = [criterion.gan_factor(step) for step in (0, 99, 100, 101, 102, 103, 5000)]
    assert factors == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert VQImageLoss(gan_start=100, gan_warmup=0).gan_factor(100) == 1
    assert VQImageLoss(gan_weight=0, gan_start=0).gan_factor(10**6) == 0


def test_before_the_start_the_discriminator_is_not_even_run(step_inputs):
    decoder, _, images, reconstruction = step_inputs
    loss, terms = VQImageLoss(gan_start=10)(
        images, reconstruction, step=9, discriminator=nn.Identity(), last_layer=None
    )
    assert set(terms) == {"l1"}
    torch.testing.assert_close(loss, F.l1_loss(reconstruction, images))
    loss.backward()
    assert decoder.conv_out.weight.grad is not None


def test_pixels_of_things_count_more_in_l1(step_inputs):
    _, _, images, reconstruction = step_inputs
    boxes = [[(-3, 0.5, 4, 6), (2, 2, 9, 9)], torch.zeros(0, 4)]
    count = torch.ones_like(images[:, :1])
    count[0, :, :6, :4] = count[0, :, 2:9, 2:9] = 5
    count = count.expand_as(images)
    expected = ((images - reconstruction).abs() * count).sum() / count.sum()
    criterion = VQImageLoss(gan_weight=0, thing_weight=5)
    loss, terms = criterion(images, reconstruction, step=0, object_boxes=boxes)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(terms["l1"], expected.detach())
    none, _ = criterion(images, reconstruction, step=0, object_boxes=[[], []])
    torch.testing.assert_close(none, F.l1_loss(reconstruction, images))
    with pytest.raises(ValueError, match="object_boxes: found None"):
        criterion(images, reconstruction, step=0)


def test_the_whole_criterion_by_hand(step_inputs):
    decoder, discriminator, images, reconstruction = step_inputs
    lpips, face, objects = Toy(), Toy(), Toy()
    criterion = VQImageLoss(
        lpips=lpips,
        lpips_weight=0.7,
        face=face,
        face_weight=0.3,
        objects=objects,
        object_weight=0.2,
        gan_weight=0.8,
        gan_start=5,
        gan_warmup=1,
    )
    boxes = [[(0, 0, 8, 8)], [(2, 3, 20, 30), (1, 1, 9, 9)]]
    weight = decoder.conv_out.weight
    loss, terms = criterion(
        images,
        reconstruction,
        step=5,
        discriminator=discriminator,
        last_layer=weight,
        face_boxes=boxes,
        object_boxes=[[], []],
    )
    l1, perceptual = F.l1_loss(reconstruction, images), Toy()(images, reconstruction).mean()
    of_faces = box_loss(Toy(), images, reconstruction, boxes, 224)
    gan = -discriminator(reconstruction).mean()
    whole = l1 + 0.7 * perceptual
    norms = [torch.autograd.grad(x, weight, retain_graph=True)[0].norm() for x in (whole, gan)]
    ratio = norms[0] / (norms[1] + 1e-4)
    expected = whole + 0.3 * of_faces + 0.8 * 0.5 * ratio.detach() * gan
    torch.testing.assert_close(loss, expected)
    assert terms == pytest.approx(
        {
            "l1": l1.item(),
            "lpips": perceptual.item(),
            "face": of_faces.item(),
            "object": 0,
            "gan": gan.item(),
            "gan_weight": ratio.item(),
        },
        rel=1e-4,
    )
    assert not any(term.requires_grad for term in terms.values())
    (gradient,) = torch.autograd.grad(expected, weight, retain_graph=True)
    loss.backward()
    torch.testing.assert_close(weight.grad, gradient)
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_terms_without_a_weight_cost_nothing(step_inputs):
    _, _, images, reconstruction = step_inputs
    toy = Toy()
    criterion = VQImageLoss(
        lpips=toy,
        lpips_weight=0,
        face=toy,
        face_weight=0,
        objects=toy,
        object_weight=0,
        gan_weight=0,
        gan_start=0,
    )
    _, terms = criterion(images, reconstruction, step=0, discriminator=nn.Identity())
    assert set(terms) == {"l1"}
    assert not toy.batches


def test_adaptive_weight_is_clamped_and_constant():
    weight = torch.tensor([2.0], requires_grad=True)
    assert adaptive_weight(3 * weight.sum(), 6 * weight.sum(), weight).item() == pytest.approx(
        0.5, rel=1e-4
    )
    assert adaptive_weight(1e9 * weight.sum(), 0 * weight.sum(), weight).item() == 1e4
    assert not adaptive_weight(weight.sum(), weight.sum(), weight).requires_grad


def test_discriminator_loss_is_the_hinge_and_leaves_the_decoder_alone(step_inputs):
    decoder, discriminator, images, reconstruction = step_inputs
    loss = discriminator_loss(discriminator, images, reconstruction)
    with torch.no_grad():
        real, fake = discriminator(images), discriminator(reconstruction)
    expected = ((1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()) / 2
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert decoder.conv_out.weight.grad is None
    assert all(p.grad is not None for p in discriminator.parameters())


def test_a_discriminator_learns_to_tell_noise_from_flat_pictures():
    torch.manual_seed(0)
    discriminator = Discriminator(width=8)
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.5, 0.9))
    for _ in range(15):
        flat = torch.rand(4, 3, 1, 1).expand(4, 3, 32, 32) * 2 - 1
        loss = discriminator_loss(discriminator, flat, torch.rand(4, 3, 32, 32) * 2 - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def test_vq_image_loss_in_bf16_autocast_is_fp32(step_inputs):
    decoder, discriminator, images, _ = step_inputs
    with torch.autocast("cpu", torch.bfloat16):
        reconstruction = decoder(torch.randn(2, 4, 32, 32))
        loss, terms = VQImageLoss(gan_start=0)(
            images,
            reconstruction,
            step=0,
            discriminator=discriminator,
            last_layer=decoder.conv_out.weight,
        )
    assert reconstruction.dtype == torch.bfloat16
    assert loss.dtype == terms["l1"].dtype == terms["gan_weight"].dtype == torch.float32
    loss.backward()
    assert decoder.conv_out.weight.grad.isfinite().all()


def test_vq_image_loss_refuses(step_inputs):
    decoder, discriminator, images, reconstruction = step_inputs
    with pytest.raises(ValueError, match=r"found shapes \[2, 3, 32, 32\] and \[2, 3, 8, 8\]"):
        VQImageLoss()(images, images[..., :8, :8], step=0)
    with pytest.raises(ValueError, match="face_boxes: found None"):
        VQImageLoss(face=Toy())(images, reconstruction, step=0)
    with pytest.raises(ValueError, match="object_boxes: found None"):
        VQImageLoss(objects=Toy())(images, reconstruction, step=0)
    with pytest.raises(ValueError, match="last_layer: found None"):
        VQImageLoss(gan_start=0)(images, reconstruction, step=0, discriminator=discriminator)
    for name in ("lpips_weight", "gan_weight", "gan_start", "gan_warmup"):
        with pytest.raises(ValueError, match=f"{name}: found -1"):
            VQImageLoss(**{name: -1})
    with pytest.raises(ValueError, match="face_weight: found nan"):
        VQImageLoss(face_weight=float("nan"))
