"""importers/dalle_pytorch.py: a VQGAN inside is imported, anything else is named."""

import pytest
import torch

from mas_fast.bundle import load_vq
from mas_fast.importers.bundle import import_bundle
from mas_fast.models.vqvae import VQVAE
from vqgan_checkpoints import IMG, same, taming, write

# DALLE-pytorch's names, and shapes of its smallest models.
DISCRETE = {"codebook.weight": (512, 64), "encoder.3.weight": (512, 64, 1, 1)}
DISCRETE |= {f"encoder.{i}.0.weight": (64, 3, 4, 4) for i in range(3)}
DISCRETE |= {f"decoder.{i}.0.weight": (64, 64, 4, 4) for i in range(3)}
TRANSFORMER = {"text_emb.weight": (100, 32), "image_emb.weight": (64, 32)}
TRANSFORMER |= {"to_logits.1.weight": (164, 32), "to_logits.1.bias": (164,)}
for i in range(4):
    TRANSFORMER[f"transformer.layers.layers.{i}.0.fn.fn.fn.to_qkv.weight"] = (96, 32)
    TRANSFORMER[f"transformer.layers.layers.{i}.0.scale"] = (1, 1, 32)


def dalle(path, name: str, **weights):
    stored = {"hparams": {"dim": 32}, "vae_params": None, "epoch": 1, "version": "1.6.6"}
    stored |= {"vae_class_name": name, "opt_state": {"state": {}}, "scheduler_state": None}
    torch.save(stored | {"weights": weights}, path)


def zeros(shapes: dict, prefix: str = "") -> dict:
    return {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}


def test_dalle_pytorch_is_imported_where_it_has_a_vqgan(tmp_path):
    model = VQVAE.create(IMG)
    inner = {f"vae.model.{name}": w for name, w in model.weights().items()}
    dalle(tmp_path / "dalle.pt", "VQGanVAE", **zeros(TRANSFORMER), **inner)
    config = write(tmp_path / "a.yaml", taming())
    told = r"begin with 'vae.model.', without it; left out is a transformer of 4 layers over image"
    with pytest.warns(UserWarning, match=told):
        assert import_bundle(tmp_path / "dalle.pt", tmp_path / "bundle", config) == [
            "vq_img.safetensors"
        ]
    same(load_vq(tmp_path / "bundle", "vq_img"), model)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (zeros(DISCRETE), r"a DiscreteVAE of 3 layers with the codebook \[512, 64\], expected"),
        (
            zeros(TRANSFORMER) | zeros(DISCRETE, "vae."),
            r"a transformer of 4 layers over image codes \[64, 32\] and a DiscreteVAE of 3 layers",
        ),
        (
            zeros(TRANSFORMER) | zeros({"vae.enc.blocks.group_1.block_1.id_path.w": (1,)}),
            "a transformer of 4 layers .* and OpenAI's discrete VAE, expected taming's VQGAN",
        ),
    ],
)
def test_dalle_pytorch_is_named(tmp_path, weights, message):
    dalle(tmp_path / "vae.pt", "DiscreteVAE", **weights)
    with pytest.raises(ValueError, match=rf"vae\.pt: found DALLE-pytorch's {message}"):
        import_bundle(tmp_path / "vae.pt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
