"""devices.py: names of devices, and fp32 without TF32."""

import pytest
import torch

from mas_fast.utils.devices import find_device, in_bf16, whole_fp32


def test_devices() -> None:
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
    assert find_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("tpu9", "cuda:99"):
        with pytest.raises(ValueError, match=f"device: found '{name}', expected one that is here"):
            find_device(name)


@pytest.mark.parametrize("has", [False, True])
def test_bf16_where_the_device_has_it(monkeypatch, has) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    assert in_bf16("auto", "cpu") == has
    assert in_bf16("auto", torch.device("cuda", 0))
    for device in ("cpu", "cuda"):
        assert in_bf16("bf16", device)
        assert not in_bf16("fp32", device)


def precisions() -> list[str]:
    return [torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision]


def test_whole_fp32_is_put_back() -> None:
    before = precisions()
    assert before[0] == "tf32"  # PyTorch's default
    with pytest.raises(KeyError), whole_fp32():
        assert precisions() == ["ieee", "ieee"]
        with whole_fp32():
            assert precisions() == ["ieee", "ieee"]
        assert precisions() == ["ieee", "ieee"]
        raise KeyError
    assert precisions() == before
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with whole_fp32():
            assert precisions() == ["ieee", "ieee"]
        assert precisions() == ["tf32", "tf32"]
    finally:
        torch.backends.cuda.matmul.fp32_precision = before[1]


def test_tokenizers_compute_in_whole_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways, whoever calls them: what is stored as codes, and what is painted."""
    from mas_fast.models.vqvae import VQVAE, preset

    model, seen = VQVAE.create(preset("tiny-img")).eval(), []
    convolve = torch.nn.Conv2d.forward
    monkeypatch.setattr(
        torch.nn.Conv2d, "forward", lambda *a: seen.append(precisions()) or convolve(*a)
    )
    size = model.config.resolution
    with torch.no_grad():
        codes = model.encode(torch.zeros(1, 3, size, size))
        encoded = len(seen)
        model.decode(codes)
    assert 0 < encoded < len(seen)
    assert all(each == ["ieee", "ieee"] for each in seen)
