"""Readers of models and their settings: bundles, YAML, checkpoints, codes and graphs."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
from reader import attempt

# ---------------------------------------------------------------------------- bundles


def make_bundle(folder: Path) -> None:
    from mas_fast.bundle import save_gpt, save_sampling, save_vq, save_words
    from mas_fast.models.gpt import GPT, preset
    from mas_fast.models.vqvae import VQVAE
    from mas_fast.models.vqvae import preset as vq_preset

    save_gpt(folder, GPT.create(preset("tiny")))
    save_vq(folder, "vq_img", VQVAE.create(vq_preset("tiny-img")))
    save_sampling(folder, {"guidance": 3.0, "temperature": 1.0, "top_k": None, "top_p": 0.9})
    save_words(folder, ["a red house", "빨간 집"])


def read_bundle(folder: Path) -> None:
    from mas_fast.bundle import (
        load_gpt,
        load_vq,
        models_of,
        read_sampling,
        read_weights,
        read_words,
    )
    from mas_fast.sampling_params import Sampling

    attempt(
        lambda: models_of(folder),
        lambda: load_gpt(folder),
        lambda: load_vq(folder, "vq_img"),
        lambda: [float(array[..., -1].ravel()[-1]) for _, array in read_weights(folder)],
        lambda: Sampling(**read_sampling(folder)),
        lambda: read_words(folder),
    )


def make_vqmodel(folder: Path) -> None:
    from mas_fast.importers.diffusers import export_vqmodel
    from mas_fast.models.vqvae import VQVAE
    from mas_fast.models.vqvae import preset as vq_preset

    export_vqmodel(VQVAE.create(vq_preset("tiny-img")), folder)


def read_vqmodel(folder: Path) -> None:
    from mas_fast.importers.diffusers import import_vqmodel

    attempt(lambda: import_vqmodel(folder))


def make_tokenizer(folder: Path) -> None:
    from mas_fast.text.bpe import BPE

    captions = folder / "captions.txt"
    captions.write_text("a red house\na blue house\nthe red car\n" * 9)
    BPE.train([captions], vocab_size=270, length=8, progress=False).save(folder / "tokenizer.json")
    captions.unlink()


def read_tokenizer(folder: Path) -> None:
    from mas_fast.text.bpe import BPE

    bpe = BPE.load(folder / "tokenizer.json")
    texts = ["a red house", "빨간 집 🏠", "", "[PAD]" * 20]
    attempt(
        lambda: bpe.decode(bpe.encode(texts).ids),
        lambda: bpe.encode(texts, dropout=0.5, generator=np.random.default_rng(0)),
    )


# ---------------------------------------------------------------------------- settings


def make_yaml(folder: Path) -> None:
    configs = Path(__file__).parents[2] / "configs"
    for name in ("gpt-tiny", "vq-seg-small", "vq-img-small", "all-storybook"):
        (folder / f"{name}.yaml").write_bytes((configs / f"{name}.yaml").read_bytes())
    sizes = "z_channels: 32, resolution: 32, ch: 32, num_res_blocks: 1, double_z: false, "
    sizes += "in_channels: 3, out_ch: 3, ch_mult: [1, 1, 2], attn_resolutions: [8]"
    (folder / "taming.yaml").write_text(
        f"model:\n  params:\n    embed_dim: 16\n    n_embed: 64\n    ddconfig: {{{sizes}}}\n"
    )
    (folder / "mindalle.yaml").write_text(
        "stage1:\n  type: vqgan\n  embed_dim: 16\n  n_embed: 64\n"
        f"  hparams: {{{sizes}}}\n"
        "stage2:\n  type: transformer1d\n  vocab_size_txt: 64\n  vocab_size_img: 64\n  hparams:\n"
        "    {ctx_len_txt: 8, ctx_len_img: 16, embed_dim: 32, n_layers: 2, n_heads: 4}\n"
    )
    (folder / "detectron.yaml").write_text("_BASE_: base.yaml\nMODEL:\n  A: [1, 2]\n  B: {C: 3}\n")
    (folder / "base.yaml").write_text("MODEL:\n  A: [3]\n  B: {C: 4, D: 1e-3}\n")


def read_yaml(folder: Path) -> None:
    from mas_fast.data.annotators import detectron2
    from mas_fast.importers.mindalle import read_gpt_config
    from mas_fast.importers.vqgan import read_config
    from mas_fast.training import gpt_settings, train_all, vq
    from mas_fast.training.settings import read

    given = ["--folder", "x", "--data", "y"]
    attempt(
        lambda: read(gpt_settings.GPTSettings, folder / "gpt-tiny.yaml", given),
        lambda: read(vq.SegSettings, folder / "vq-seg-small.yaml", given),
        lambda: read(vq.ImgSettings, folder / "vq-img-small.yaml", given),
        lambda: read(train_all.AllSettings, folder / "all-storybook.yaml", ["--folder", "x"]),
        lambda: read_config(folder / "taming.yaml"),
        lambda: read_config(folder / "mindalle.yaml"),
        lambda: read_gpt_config(folder / "mindalle.yaml"),
        lambda: detectron2.read_config(folder / "detectron.yaml"),
        lambda: detectron2.read_config(folder / "base.yaml"),
    )


# ---------------------------------------------------------------------------- checkpoints


def make_checkpoints(folder: Path) -> None:
    import torch

    from mas_fast.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(folder, keep=2)
    for step in (5, 10):
        tensors = {"a/weight": torch.ones(3, 2), "a/step": torch.tensor(1.0), "b": torch.ones(4)}
        checkpoints.save(step, {"recent": [1.5], "samples": 8, "data": {"epoch": 1}}, tensors)


def read_checkpoints(folder: Path) -> None:
    import torch

    from mas_fast.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(folder, keep=2)
    shapes = {"a/weight": (3, 2), "a/step": (), "b": (4,)}

    def read(path: Path) -> None:
        checkpoints.read(path, {name: torch.zeros(shape) for name, shape in shapes.items()})

    calls = [partial(call, p) for p in checkpoints.all() for call in (checkpoints.values, read)]
    attempt(*calls, checkpoints.newest)


def forget(folder: Path) -> None:
    """The index has no checksum, as in checkpoints of before, so that it hides nothing."""
    for file in folder.glob("*/values.json"):
        try:
            values = json.loads(file.read_bytes())
            values.pop("index")
            file.write_text(json.dumps(values))
        except Exception:  # it was changed too
            pass


def make_torch(folder: Path) -> None:
    import torch

    weights = {"encoder.conv_in.weight": torch.ones(2, 3), "n": torch.tensor([1, 2])}
    torch.save({"state_dict": weights, "epoch": 3}, folder / "a.pt")
    torch.save({"state_dict": weights, "callbacks": {"x": [1.5]}}, folder / "b.ckpt")
    torch.save(weights, folder / "old.bin", _use_new_zipfile_serialization=False)
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    (folder / "c.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}, 2))


def read_torch(folder: Path) -> None:
    from mas_fast.data.annotators.detectron2 import read_weights
    from mas_fast.utils.checkpoint import read_checkpoint, state_dict

    def read(file: Path) -> None:
        for weight in state_dict(file, read_checkpoint(file)).values():
            weight.float().sum()

    files = [folder / name for name in ("a.pt", "b.ckpt", "old.bin")]
    attempt(
        *(lambda file=file: read(file) for file in files),
        lambda: read_weights(folder / "c.pkl"),
    )


# ---------------------------------------------------------------------------- codes and graphs


def make_npz(folder: Path) -> None:
    from mas_fast.data.token_file import Codes

    codes = np.arange(32, dtype=np.int32).reshape(2, 4, 4)
    Codes("vq_img", "0" * 64, ["a", "b"], codes).save(folder / "codes.npz")


def read_npz(folder: Path) -> None:
    from mas_fast.data.token_file import Codes

    codes = Codes.load(folder / "codes.npz")
    assert codes.codes.ndim == 3
    assert len(codes.names) == len(codes.codes)


def make_onnx(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from mas_fast.models.vqvae_config import preset
    from mas_fast.onnx.files import Metadata

    meta = Metadata("vq_img", "decoder", "fp32", preset("tiny-img"), "0" * 64)
    (given,), (result,) = meta.inputs, meta.outputs
    table = helper.make_tensor("table", TensorProto.FLOAT, [64], np.zeros(64, np.float32))
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, 3, 32, 32])
    repeats = helper.make_tensor("repeats", TensorProto.INT64, [3], [1, 6, 8])
    nodes = [
        helper.make_node("Gather", ["table", given.name], ["values"]),
        helper.make_node("Tile", ["values", "repeats"], ["tiled"]),
        helper.make_node("Reshape", ["tiled", "shape"], [result.name]),
    ]
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info(given.name, TensorProto.INT64, given.shape)],
        [helper.make_tensor_value_info(result.name, TensorProto.FLOAT, result.shape)],
        [table, shape, repeats],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, meta.to_properties())
    onnx.save(model, folder / meta.file_name)


def read_onnx(folder: Path) -> None:
    from mas_fast.onnx.files import read_metadata
    from mas_fast.onnx.session import Session

    (file,) = folder.glob("*.onnx")
    attempt(
        lambda: read_metadata(file),
        lambda: Session(file, ["cpu"], threads=1),
    )
