"""torch_codec.py: codes <-> pictures and scenes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mas_fast.models import torch_codec
from mas_fast.models.torch_codec import (
    TorchCodec,
    decode_pictures,
    decode_scenes,
    decoded_together,
    encode_pictures,
    encode_scenes,
)
from mas_fast.models.vqvae import VQVAE, preset
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.scene import MAS159, MINI158, Scene

torch.set_num_threads(1)
SEG = preset("tiny-seg")


def codes(config: VQConfig, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(config.codes, (count, 8, 8), generator=generator)


def test_pictures_are_those_of_the_decoder_in_bytes() -> None:
    model = VQVAE.create(preset("tiny-img")).eval()
    given = codes(model.config)
    found = decode_pictures(model, given)
    with torch.no_grad():
        expected = ((model.decode(given).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert [pixels.shape for pixels in found] == [(32, 32, 3)] * 3
    for pixels, wanted in zip(found, expected, strict=True):
        assert pixels.dtype == np.uint8
        assert np.abs(pixels - wanted).max() <= 0.501
        assert np.ptp(pixels) > 0


def test_neither_depends_on_what_is_beside_it() -> None:
    picture, scene = (VQVAE.create(preset(f"tiny-{name}")).eval() for name in ("img", "seg"))
    given = codes(SEG)
    for n in range(3):
        one = decode_pictures(picture, given[n : n + 1])[0]
        assert np.array_equal(one, decode_pictures(picture, given)[n])
        assert decode_scenes(scene, given[n : n + 1])[0] == decode_scenes(scene, given)[n]


def test_on_a_gpu_some_are_decoded_together(monkeypatch) -> None:
    """The results are the same but for what another order of sums moves; here that is nothing."""
    picture, scene = (VQVAE.create(preset(f"tiny-{name}")).eval() for name in ("img", "seg"))
    given = codes(SEG, 5)
    expected = decode_pictures(picture, given), decode_scenes(scene, given)
    counts = []
    for model in (picture, scene):
        decode = model.decode
        counting = lambda c, d=decode: counts.append(len(c)) or d(c)  # noqa: E731
        monkeypatch.setattr(model, "decode", counting)
    monkeypatch.setattr(torch_codec, "decoded_together", lambda model: 2)
    pictures, scenes = decode_pictures(picture, given), decode_scenes(scene, given)
    assert counts == [2, 2, 1] * 2
    for found, wanted in zip(pictures, expected[0], strict=True):
        assert np.abs(found.astype(int) - wanted).max() <= 1
    assert scenes == expected[1]
    assert decode_pictures(picture, given[:0]) == decode_scenes(scene, given[:0]) == []
    codec = TorchCodec("vq_img", picture)
    counts.clear()
    codec.decode(given.numpy())
    assert counts == [2, 2, 1]
    codec.together = 1
    counts.clear()
    found = codec.decode(given.numpy())
    assert counts == [1] * 5
    assert np.array_equal(found, expected[0])


def test_memory_bounds_what_is_decoded_together() -> None:
    """On a GPU: 16 of 256 x 256, or as many as have the same pixels."""
    model = VQVAE(preset("tiny-img"))
    assert decoded_together(model.to_empty(device="cpu")) == 1
    for side, expected in ((256, 16), (64, 256), (512, 4), (2048, 1)):
        on_a_gpu = SimpleNamespace(
            device=torch.device("cuda"), config=replace(model.config, resolution=side)
        )
        assert decoded_together(on_a_gpu) == expected


@pytest.mark.parametrize("layout", [MINI158, MAS159], ids=lambda layout: layout.name)
def test_scenes_are_the_likeliest_labels(layout, monkeypatch) -> None:
    """Of given logits, in which the channel that is no label is the largest."""
    config = replace(SEG, layout=layout.name, channels=layout.channels)
    model = VQVAE.create(config).eval()
    logits = torch.full((1, layout.channels, 2, 2), -1.0)
    others = set(range(layout.edge_channel)) - set(layout.label_channels.tolist())
    for channel in others:
        logits[:, channel] = 9
    for y, x, label in ((0, 0, 0), (0, 1, 132), (1, 0, layout.human + 5), (1, 1, layout.face + 5)):
        logits[0, label, y, x] = 1
    logits[0, layout.edge_channel, 0] = torch.tensor([0.5, 7])  # larger than any label's
    monkeypatch.setattr(model, "decode", lambda _: logits)
    (scene,) = decode_scenes(model, torch.zeros(1, 1, 1, dtype=torch.int64))
    assert scene.layout == layout
    assert scene.labels.tolist() == [[0, 132], [layout.human + 5, layout.face + 5]]
    assert scene.edges.tolist() == [[True, True], [False, False]]


def test_scenes_are_encoded_in_the_layout_of_the_tokenizer() -> None:
    model = VQVAE.create(SEG).eval()
    random = np.random.default_rng(0)
    labels = random.integers(0, 133, (2, 32, 32)).astype(np.uint8)
    scenes = [Scene(one, one % 5 == 0) for one in labels]
    found = encode_scenes(model, scenes)
    expected = model.encode((torch.from_numpy(labels), torch.from_numpy(labels % 5 == 0)))
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)
    assert len(found.unique()) > 1
    assert torch.equal(encode_scenes(model, [scene.to(MAS159) for scene in scenes]), found)
    assert torch.equal(encode_scenes(model, scenes[1:]), found[1:])


def test_a_tokenizer_without_a_layout_is_refused() -> None:
    model = VQVAE.create(replace(SEG, layout=None)).eval()
    with pytest.raises(ValueError, match="without a layout, expected one of scenes"):
        decode_scenes(model, codes(SEG))
    with pytest.raises(ValueError, match="of 'labels' without a layout"):
        encode_scenes(model, [Scene(np.zeros((32, 32), np.uint8), np.zeros((32, 32), bool))])
    with pytest.raises(ValueError, match="of 'image' without a layout"):
        decode_scenes(VQVAE.create(preset("tiny-img")), codes(SEG))


def test_pictures_are_encoded_between_minus_one_and_one() -> None:
    model = VQVAE.create(preset("tiny-img")).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    found = encode_pictures(model, list(pixels))
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
    assert torch.equal(found, model.encode(images))
    assert len(found.unique()) > 1


def test_a_codec_is_both_ways() -> None:
    model = VQVAE.create(preset("tiny-img")).eval()
    codec = TorchCodec("vq_img", model)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    found = codec.encode(pixels)
    assert np.array_equal(found, encode_pictures(model, list(pixels)).numpy())
    expected = decode_pictures(model, torch.from_numpy(found))
    assert np.array_equal(codec.decode(found), expected)
    codec = TorchCodec("vq_seg", VQVAE.create(SEG).eval())
    (scene,) = codec.decode(codes(SEG, 1).numpy())
    assert scene == decode_scenes(codec.model, codes(SEG, 1))[0]
    assert np.array_equal(codec.encode([scene]), encode_scenes(codec.model, [scene]).numpy())
