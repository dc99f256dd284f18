"""Checkpoints and configs as minDALL-E and taming write them."""

import torch
import yaml

from mas_fast.models.vqvae_config import preset

IMG, SEG = preset("tiny-img"), preset("tiny-seg")


def hparams(config):
    sizes = ("z_channels", "resolution", "ch", "num_res_blocks")
    return {name: getattr(config, name) for name in sizes} | {
        "double_z": False,
        "in_channels": config.channels,
        "out_ch": config.channels,
        "ch_mult": list(config.ch_mult),
        "attn_resolutions": list(config.attn_resolutions),
    }


def mindalle(config=IMG):
    sizes = {"embed_dim": config.embed_dim, "n_embed": config.codes}
    return {"dataset": {}, "stage1": {"type": "vqgan", **sizes, "hparams": hparams(config)}}


def taming(config=IMG):
    part = {"embed_dim": config.embed_dim, "n_embed": config.codes, "ddconfig": hparams(config)}
    if config.quantizer == "gumbel":
        part |= {"kl_weight": config.beta, "temperature_scheduler_config": {}}
    return {"model": {"target": "taming.models.vqgan.VQModel", "params": part}}


def write(path, values):
    path.write_text(yaml.safe_dump(values))
    return path


def same(model, other):
    assert not model.training
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


def drop(state):
    del state["encoder.mid.attn_1.q.bias"]


def add(state):
    state["decoder.up.0.attn.0.q.bias"] = torch.zeros(3)
