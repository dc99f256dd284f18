"""perceptual.py: both networks against their definition written out, and what they refuse to load.

The weights are random: only names, shapes and arithmetic are under test.
"""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from mas_fast.models.perceptual import LPIPS, VGG16, FaceDistance, FaceResNet50, FeatureDistance
from mas_fast.models.segmenter import Segmenter

torch.set_num_threads(1)
# torchvision's layer numbers; a pooling comes before 5, 10, 17 and 24.
CONVOLUTIONS = {
    **{0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256)},
    **{14: (256, 256), 17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512)},
    **{26: (512, 512), 28: (512, 512)},
}


def vgg_state() -> dict[str, Tensor]:
    """As in vgg16-397923af.pth, but for the classifier's sizes."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for i, (out, width) in CONVOLUTIONS.items():
        deviation = (2 / (9 * width)) ** 0.5
        weight = torch.randn(out, width, 3, 3, generator=generator) * deviation
        state[f"features.{i}.weight"] = weight
        state[f"features.{i}.bias"] = 0.1 * torch.randn(out, generator=generator)
    return state | {"classifier.0.weight": torch.zeros(5, 7), "classifier.0.bias": torch.zeros(5)}


def linear_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    widths = (64, 128, 256, 512, 512)
    return {
        f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for i, width in enumerate(widths)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save(vgg_state(), folder / "vgg16-397923af.pth")
    torch.save(linear_state(), folder / "vgg.pth")
    return folder


@pytest.fixture(scope="module")
def lpips(folder) -> LPIPS:
    return LPIPS(folder)


def pictures(*shape: int, seed: int = 0, dtype=torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1


# ---------------------------------------------------------------------- LPIPS


def lpips_by_hand(x: Tensor, y: Tensor) -> np.ndarray:
    """LPIPS v0.1 in fp64, the comparison in numpy, from the files' own names."""
    state, linear = vgg_state(), linear_state()
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64)[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64)[:, None, None]

    def levels(x: Tensor) -> list[np.ndarray]:
        x, out = (x.double() - shift) / scale, []
        for i in CONVOLUTIONS:
            if i in (5, 10, 17, 24):
                out.append(x.numpy())
                x = F.max_pool2d(x, 2)
            weight, bias = (state[f"features.{i}.{part}"].double() for part in ("weight", "bias"))
            x = F.conv2d(x, weight, bias, padding=1).relu()
        return [*out, x.numpy()]

    total = 0
    for i, (a, b) in enumerate(zip(levels(x), levels(y), strict=True)):
        a, b = (v / (np.sqrt((v**2).sum(1, keepdims=True)) + 1e-10) for v in (a, b))
        weight = linear[f"lin{i}.model.1.weight"].double().numpy()
        total = total + (weight * (a - b) ** 2).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 43)])
def test_lpips_is_its_definition(lpips, height, width):
    x, y = pictures(2, 3, height, width), pictures(2, 3, height, width, seed=1)
    np.testing.assert_allclose(lpips(x, y), lpips_by_hand(x, y), rtol=1e-4)
    assert (lpips(x, x) == 0).all()


def test_vgg16_has_torchvisions_names_and_five_levels():
    vgg = VGG16()
    names = [name for name in vgg_state() if name.startswith("features")]
    assert list(vgg.state_dict()) == names
    assert sum(p.numel() for p in vgg.parameters()) == 14_714_688
    shapes = [tuple(level.shape[1:]) for level in vgg(torch.zeros(1, 3, 32, 48))]
    assert shapes == [(64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6), (512, 2, 3)]


def test_gradients_reach_the_pictures_alone(lpips):
    x, y = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1).requires_grad_()
    lpips.train()
    assert not lpips.net.training
    assert not any(p.requires_grad for p in lpips.parameters())
    lpips(x, y).sum().backward()
    before, after = y.detach(), (y - 0.01 * y.grad / y.grad.abs().max()).detach()
    assert lpips(x, after) < lpips(x, before)


def test_a_place_where_all_features_are_off_has_a_gradient_of_zero(folder):
    """sqrt(sum x^2) would give NaN there."""
    lpips = LPIPS(folder)
    for module in lpips.net.features:
        if isinstance(module, torch.nn.Conv2d):
            module.bias.fill_(-100.0)
    y = pictures(1, 3, 16, 16).requires_grad_()
    lpips(pictures(1, 3, 16, 16, seed=1), y).sum().backward()
    assert (y.grad == 0).all()


def test_lpips_under_bf16_autocast(lpips):
    x, y = pictures(2, 3, 32, 32), pictures(2, 3, 32, 32, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        low = lpips(x, y)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, lpips(x, y), rtol=0.05, atol=0)


@pytest.mark.parametrize("shapes", [((1, 3, 15, 32),) * 2, ((1, 1, 32, 32),) * 2])
def test_lpips_refuses_other_shapes(lpips, shapes):
    with pytest.raises(ValueError, match=r"found shapes .* expected twice the same \[N, 3, H, W\]"):
        lpips(*map(torch.zeros, shapes))
    with pytest.raises(ValueError, match="found shapes"):
        lpips(torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))


# ---------------------------------------------------------------------- files


def test_missing_files_are_all_named_with_their_source(tmp_path, folder):
    with pytest.raises(ValueError) as error:
        LPIPS(tmp_path)
    for text in (
        *(
            str(tmp_path),
            "found 0 of 2 weight files, expected these too",
            ".safetensors",
            "vgg16-397923af.pth from",
        ),
        *("https://download.pytorch.org/models/vgg16-397923af.pth", "vgg.pth from"),
        "lpips/weights/v0.1/vgg.pth",
    ):
        assert text in str(error.value)
    (tmp_path / "vgg16-397923af.pth").symlink_to(folder / "vgg16-397923af.pth")
    with pytest.raises(ValueError, match=r"found 1 of 2 weight files.*\n  vgg.pth from [^\n]*$"):
        LPIPS(tmp_path)
    with pytest.raises(ValueError, match="vggface2-resnet50.pth from"):
        FaceDistance(tmp_path)


def test_safetensors_load_alike(tmp_path, lpips):
    save_file(vgg_state(), tmp_path / "vgg16-397923af.safetensors")
    save_file(linear_state(), tmp_path / "vgg.safetensors")
    x, y = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    assert torch.equal(LPIPS(tmp_path)(x, y), lpips(x, y))


class Malicious:
    def __reduce__(self):
        return (print, ("code from a weight file ran",))


def test_code_in_a_weight_file_does_not_run(tmp_path, folder, capsys):
    (tmp_path / "vgg16-397923af.pth").symlink_to(folder / "vgg16-397923af.pth")
    file = tmp_path / "vgg.pth"
    torch.save(linear_state() | {"lin0.model.1.weight": Malicious()}, file)
    with pytest.raises(ValueError, match="vgg.pth: found no state dict that is safe to read"):
        LPIPS(tmp_path)
    file.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(ValueError, match="vgg.pth: found no state dict that is safe to read"):
        LPIPS(tmp_path)
    assert "code" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: torch.save(torch.zeros(3), f), "found no .*: found Tensor, expected a state"),
        (lambda f: f.write_bytes(b""), "found no state dict that is safe to read"),
        (lambda f: f.write_bytes(b"\x80\x02nonsense"), "found no state dict that is safe to read"),
        (
            lambda f: torch.save({"lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}, f),
            r"4 of 5 tensors missing .*found lin1.model.1.weight missing.*expected lin1.*\[1, 128",
        ),
        (
            lambda f: torch.save(linear_state() | {"lin3.model.1.weight": torch.zeros(1, 7)}, f),
            r"1 of 5 tensors .* found lin3.model.1.weight \[1, 7\], expected .* \[1, 512, 1, 1\]",
        ),
    ],
)
def test_broken_files_are_refused(tmp_path, folder, write, message):
    (tmp_path / "vgg16-397923af.pth").symlink_to(folder / "vgg16-397923af.pth")
    write(tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match=f"vgg.pth: {message}"):
        LPIPS(tmp_path)


def test_a_truncated_safetensors_file_is_refused(tmp_path):
    save_file(vgg_state(), tmp_path / "vgg16-397923af.safetensors")
    content = (tmp_path / "vgg16-397923af.safetensors").read_bytes()
    (tmp_path / "vgg16-397923af.safetensors").write_bytes(content[:-8])
    torch.save(linear_state(), tmp_path / "vgg.pth")
    with pytest.raises(ValueError, match="safetensors: found no state dict that is safe to read"):
        LPIPS(tmp_path)


# ---------------------------------------------------------------------- faces


@pytest.fixture(scope="module")
def face_state() -> dict[str, Tensor]:
    """Random convolutions, and normalisations that are not the identity."""
    generator = torch.Generator().manual_seed(2)
    state = FaceResNet50().state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("running_var", "weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.normal_(0, 0.1, generator=generator)
    del state["bn1.num_batches_tracked"]  # files of before torch 0.4.1 have none
    return state | {"fc.weight": torch.zeros(5, 2048)}


@pytest.fixture(scope="module")
def face(face_state, tmp_path_factory) -> FaceDistance:
    folder = tmp_path_factory.mktemp("face")
    torch.save(face_state, folder / "vggface2-resnet50.pth")
    return FaceDistance(folder)


def face_by_hand(state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The network and the distance in fp64 from the state dict."""
    state = {name: value.double() for name, value in state.items()}

    def convolve(x: Tensor, name: str, norm: str, stride: int, padding: int) -> Tensor:
        x = F.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)
        mean, variance, weight, bias = (
            state[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def levels(x: Tensor) -> list[Tensor]:
        mean = torch.tensor([91.4953, 103.8827, 131.0912], dtype=torch.float64)[:, None, None]
        x = (x.double()[:, [2, 1, 0]] + 1) / 2 * 255 - mean
        x = convolve(x, "conv1", "bn1", 2, 3).relu()
        out = [x]
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
        for layer, depth in enumerate((3, 4, 6, 3), 1):
            for i in range(depth):
                at, stride = f"layer{layer}.{i}", 2 if i == 0 and layer > 1 else 1
                y = convolve(x, f"{at}.conv1", f"{at}.bn1", stride, 0).relu()
                y = convolve(y, f"{at}.conv2", f"{at}.bn2", 1, 1).relu()
                y = convolve(y, f"{at}.conv3", f"{at}.bn3", 1, 0)
                if i == 0:
                    x = convolve(x, f"{at}.downsample.0", f"{at}.downsample.1", stride, 0)
                x = (x + y).relu()
            if layer != 3:
                out.append(x)
        return [*out, x.mean((2, 3), keepdim=True)]

    weights = (0.1, 0.25 * 0.01, 0.25 * 0.1, 0.25 * 0.2, 0.25 * 0.02)
    pairs = zip(weights, levels(x), levels(y), strict=True)
    return sum(w * (a - b).abs().mean((1, 2, 3)) for w, a, b in pairs)


def test_face_distance_is_its_definition(face, face_state):
    x, y = pictures(2, 3, 64, 64), pictures(2, 3, 64, 64, seed=1).requires_grad_()
    distance = face(x, y)
    expected = face_by_hand(face_state, x, y.detach())
    torch.testing.assert_close(distance.double(), expected, rtol=1e-4, atol=0)
    assert (face(x, x) == 0).all()
    distance.sum().backward()
    assert y.grad.abs().sum() > 0
    assert not face.train().net.training


def test_face_levels_have_the_papers_sizes(face):
    with torch.no_grad():
        sizes = [level.shape[-1] for level in face.net(torch.zeros(1, 3, 224, 224))]
    assert sizes == [112, 56, 28, 7, 1]
    with pytest.raises(ValueError, match="H, W >= 32"):
        face(torch.zeros(1, 3, 31, 32), torch.zeros(1, 3, 31, 32))


# ------------------------------------------------------------------ a network of ours


def test_features_all_weigh_alike() -> None:
    net = Segmenter([0, 1]).eval()
    x, y = pictures(2, 3, 32, 48), pictures(2, 3, 32, 48, seed=1)
    expected = torch.zeros(2)
    for a, b in zip(net.features(x), net.features(y), strict=True):
        a, b = (v / v.square().sum(1, keepdim=True).sqrt().clamp(min=1e-10) for v in (a, b))
        expected += (a - b).square().sum(1).mean((1, 2)) / 4
    found = FeatureDistance(net)(x, y)
    assert torch.allclose(found, expected, rtol=1e-4)
    assert (found > 0).all()
    assert torch.equal(FeatureDistance(net)(x, x), torch.zeros(2))


def test_a_network_of_ours_is_frozen() -> None:
    distance = FeatureDistance(Segmenter([0])).train()
    x, y = pictures(1, 3, 32, 32).requires_grad_(), pictures(1, 3, 32, 32, seed=1)
    before = distance.net.down[0][1].running_mean.clone()
    distance(x, y).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in distance.parameters())
    assert torch.equal(distance.net.down[0][1].running_mean, before)
    with pytest.raises(ValueError, match="pictures: found shapes"):
        distance(x, y[..., :16])
