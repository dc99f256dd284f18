"""Checkpoints of minDALL-E, taming and CasualGAN, and those that must not be read."""

import dataclasses
import io
import os
import pickle
import sys
import types
import warnings
import zipfile

import pytest
import torch
from torch import nn

from mas_fast.bundle import load_vq
from mas_fast.evaluation.reconstruction import evaluate
from mas_fast.importers.bundle import import_bundle
from mas_fast.importers.vqgan import import_vq, read_checkpoint, read_config
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_layers import Attention, Downsample, Norm, ResnetBlock, Upsample
from mas_fast.utils.checkpoint import state_dict
from vqgan_checkpoints import (
    IMG,
    SEG,
    add,
    drop,
    hparams,
    mindalle,
    same,
    taming,
    write,
)

GUMBEL = dataclasses.replace(IMG, z_channels=16, quantizer="gumbel", beta=1e-8)


# ---------------------------------------------------------------------- what is read


def test_mindalle(tmp_path):
    model = VQVAE.create(IMG)
    torch.save({"state_dict": model.weights()}, tmp_path / "stage1_last.ckpt")
    config = write(tmp_path / "config.yaml", mindalle())
    assert read_config(config) == IMG
    same(import_vq(tmp_path / "stage1_last.ckpt", config), model)


@pytest.mark.parametrize("config", [IMG, GUMBEL, SEG], ids=["vq", "gumbel", "seg"])
def test_taming(tmp_path, config):
    model = VQVAE.create(config)
    extra = {
        "loss.discriminator.main.0.weight": torch.ones(3),
        "loss.perceptual_loss.lin0.model.1.weight": torch.ones(3),
        "colorize": torch.ones(3, 4, 1, 1),
    }
    stored = {"epoch": 3, "global_step": 9, "state_dict": model.weights() | extra}
    torch.save(stored, tmp_path / "last.ckpt")
    yaml_file = write(tmp_path / "project.yaml", taming(config))
    assert read_config(yaml_file) == config
    same(import_vq(tmp_path / "last.ckpt", yaml_file), model)


def test_labels_without_a_layout(tmp_path):
    """What its channels mean is not known: it is imported, which is told, and measured by none."""
    config = dataclasses.replace(SEG, channels=183, layout=None)
    file = write(tmp_path / "a.yaml", taming(config))
    assert read_config(file) == config
    model = VQVAE.create(config)
    torch.save({"state_dict": model.weights()}, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match=r"label maps of 183 channels.*'mini158 \(158\)'"):
        import_bundle(tmp_path / "a.ckpt", tmp_path / "bundle", file)
    same(load_vq(tmp_path / "bundle", "vq_seg"), model)
    with pytest.raises(
        ValueError, match=r"vq_seg: found a tokenizer of 183 channels without a lay"
    ):
        evaluate(tmp_path / "bundle", "vq_seg", tmp_path)


def test_half_precision_becomes_fp32(tmp_path):
    weights = {name: weight.half() for name, weight in VQVAE.create(IMG).weights().items()}
    torch.save(weights, tmp_path / "a.ckpt")
    model = import_vq(tmp_path / "a.ckpt", write(tmp_path / "a.yaml", taming()))
    assert model.dtype == torch.float32
    assert torch.equal(model.quantize.table.half(), weights["quantize.embedding.weight"])


def test_the_tokenizers_inside_a_transformer(tmp_path):
    first, cond = VQVAE.create(IMG), VQVAE.create(SEG)
    state = {f"first_stage_model.{name}": w for name, w in first.weights().items()}
    state |= {"transformer.pos_emb": torch.zeros(1, 4, 8)}
    path = tmp_path / "last.ckpt"
    parts = {
        "first_stage_config": taming(IMG)["model"],
        "cond_stage_config": taming(SEG)["model"],
    }
    config = write(tmp_path / "project.yaml", {"model": {"params": parts}})
    torch.save({"state_dict": state}, path)
    same(import_vq(path, config), first)
    state |= {f"cond_stage_model.{name}": w for name, w in cond.weights().items()}
    torch.save({"state_dict": state}, path)
    with pytest.raises(ValueError, match=r"\['first_stage_model.', 'cond_stage_model.'\], expe"):
        import_vq(path, config)
    same(import_vq(path, config, "cond_stage_model."), cond)
    with pytest.raises(ValueError, match="prefix: found 'x.', expected one of"):
        import_vq(path, config, "x.")


def test_lightning_callbacks_are_left_behind(tmp_path, monkeypatch):
    name = "pytorch_lightning.callbacks"
    module = types.ModuleType(name)
    module.Checkpoint = type("Checkpoint", (), {"__module__": name})
    callback = module.Checkpoint()
    callback.best = "last.ckpt"
    model = VQVAE.create(IMG)
    stored = {"state_dict": model.weights(), "callbacks": {module.Checkpoint: callback, "x": [1]}}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pytorch_lightning", types.ModuleType("pytorch_lightning"))
        patch.setitem(sys.modules, name, module)
        torch.save(stored, tmp_path / "last.ckpt")
    same(import_vq(tmp_path / "last.ckpt", write(tmp_path / "a.yaml", taming())), model)
    assert "pytorch_lightning" not in sys.modules


def undotted(name: str) -> str:
    """As latent-diffusion's LitEma names its copies."""
    return "model_ema." + name.replace(".", "")


def copies(weights: dict, value: float = 7.0) -> dict:
    counters = {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3)}
    return {undotted(n): torch.full_like(w, value) for n, w in weights.items()} | counters


PREFIXES = ["module.", "_orig_mod.", "module._orig_mod.", "model.first_stage_model.", "a.b.c."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_stands_before_all_names_is_taken_off_and_told(tmp_path, prefix):
    model = VQVAE.create(IMG)
    state = {prefix + name: w for name, w in model.weights().items()}
    state |= {prefix + "loss.logvar": torch.ones(1), "n_averaged": torch.tensor(3)}
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    config = write(tmp_path / "a.yaml", taming())
    with pytest.warns(UserWarning, match=rf"a\.ckpt: took the weights .* begin with '{prefix}'"):
        same(import_vq(tmp_path / "a.ckpt", config), model)
    with pytest.raises(ValueError, match=rf"prefix: found 'x.', expected one of \['{prefix}'\]"):
        import_vq(tmp_path / "a.ckpt", config, "x")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("outer", ["", "module."])
def test_averaged_copies_are_left_out_and_told(tmp_path, outer):
    model = VQVAE.create(IMG)
    state = {outer + n: w for n, w in (model.weights() | copies(model.weights())).items()}
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    config = write(tmp_path / "a.yaml", taming())
    with pytest.warns(
        UserWarning, match=r"left out 185 tensors of averaged copies.*--prefix model_"
    ):
        same(import_vq(tmp_path / "a.ckpt", config), model)
    averaged = import_vq(tmp_path / "a.ckpt", config, "model_ema.")
    assert all((w == 7).all() for w in averaged.weights().values())


@pytest.mark.parametrize("name", ["ema.", "model_ema.", "ema_model.module.", "generator_ema.", ""])
def test_copies_with_whole_names(tmp_path, name):
    """Beside the weights, or alone."""
    model = VQVAE.create(IMG)
    other = {name + n: torch.full_like(w, 7) for n, w in model.weights().items()}
    torch.save({"state_dict": other | model.weights()}, tmp_path / "a.ckpt")
    config = write(tmp_path / "a.yaml", taming())
    if name:
        with pytest.warns(UserWarning, match="left out 183 tensors of averaged copies"):
            same(import_vq(tmp_path / "a.ckpt", config), model)
        torch.save({"state_dict": other}, tmp_path / "a.ckpt")
        with pytest.warns(UserWarning, match=f"begin with '{name}'"):
            averaged = import_vq(tmp_path / "a.ckpt", config)
        assert all((w == 7).all() for w in averaged.weights().values())
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            same(import_vq(tmp_path / "a.ckpt", config), model)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "weights", "module"])
def test_wherever_the_state_dict_is(tmp_path, key):
    model = VQVAE.create(IMG)
    torch.save({"epoch": 1, key: model.weights()}, tmp_path / "a.ckpt")
    same(import_vq(tmp_path / "a.ckpt", write(tmp_path / "a.yaml", taming())), model)


def test_copies_beside_the_state_dict_are_told(tmp_path):
    model = VQVAE.create(IMG)
    other = {name: torch.full_like(w, 7) for name, w in model.weights().items()}
    stored = {"ema_state_dict": other, "state_dict": model.weights(), "device": torch.device("cpu")}
    torch.save(stored, tmp_path / "a.ckpt")
    config = write(tmp_path / "a.yaml", taming())
    with pytest.warns(UserWarning, match=r"left out \['ema_state_dict'\], averaged copies of weig"):
        same(import_vq(tmp_path / "a.ckpt", config), model)


def test_a_state_dict_in_itself_ends(tmp_path):
    stored: dict = {"a": torch.ones(1), "device": torch.device("cpu")}
    stored["model"] = stored
    torch.save(stored, tmp_path / "a.ckpt")
    assert list(state_dict(tmp_path, read_checkpoint(tmp_path / "a.ckpt"))) == ["a"]


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def test_casualgan(tmp_path):
    """Its encoder and decoder as plain sequences, layer by layer, with a BatchNorm at the end."""
    torch.manual_seed(0)
    conv = nn.Conv2d
    encoder = nn.Sequential(
        *(conv(3, 32, 3, 1, 1), ResnetBlock(32, 32), Downsample(32)),
        *(ResnetBlock(32, 32), Downsample(32)),
        *(ResnetBlock(32, 64), Attention(64)),
        *(ResnetBlock(64, 64), Attention(64), ResnetBlock(64, 64)),
        *(Norm(64), Swish(), conv(64, 32, 3, 1, 1)),
    )
    decoder = nn.Sequential(
        *(conv(32, 64, 3, 1, 1), ResnetBlock(64, 64), Attention(64), ResnetBlock(64, 64)),
        *(ResnetBlock(64, 64), Attention(64), ResnetBlock(64, 64), Attention(64), Upsample(64)),
        *(ResnetBlock(64, 32), ResnetBlock(32, 32), Upsample(32)),
        *(ResnetBlock(32, 32), ResnetBlock(32, 32)),
        *(Norm(32), Swish(), conv(32, 3, 3, 1, 1)),
    )
    quant_conv = nn.Sequential(conv(32, 16, 1), nn.BatchNorm2d(16))
    quant_conv[1].running_mean.normal_()
    quant_conv[1].running_var.uniform_(0.5, 2)
    nn.init.normal_(quant_conv[1].weight)
    whole = nn.ModuleDict(
        {
            "encoder": nn.ModuleDict({"model": encoder}),
            "decoder": nn.ModuleDict({"model": decoder}),
            "quantize": nn.ModuleDict({"embedding": nn.Embedding(64, 16)}),
            "quant_conv": quant_conv,
            "post_quant_conv": conv(16, 32, 1),
        }
    ).eval()
    torch.save({"model": whole.state_dict(), "optim": {}, "step": 5}, tmp_path / "final.pt")
    sizes = {key: value for key, value in hparams(IMG).items() if key not in ("ch", "ch_mult")}
    sizes = sizes | {"channels": [32, 32, 32, 64], "out_channels": 3}
    del sizes["out_ch"]
    config = {"model": {"embed_dim": 16, "n_embed": 64, "ddconfig": sizes}}
    config = write(tmp_path / "img_config.yaml", config)
    assert read_config(config) == IMG
    model = import_vq(tmp_path / "final.pt", config)
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        z = quant_conv(encoder(x))
        torch.testing.assert_close(model._features(x), z, rtol=0, atol=1e-5)
        y = decoder(whole["post_quant_conv"](model.quantize.lookup(model.encode(x))))
        torch.testing.assert_close(model(x).reconstruction, y, rtol=0, atol=1e-5)


# ---------------------------------------------------------------------- what is refused


class Evil:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_code_in_a_pickle_does_not_run(tmp_path, how):
    """Anywhere in the file, in each format that torch has had."""
    mark, path = tmp_path / "ran", tmp_path / "evil.ckpt"
    stored = {"state_dict": VQVAE.create(IMG).weights(), "callbacks": [Evil(mark)]}
    if how == "pickle":
        path.write_bytes(pickle.dumps(Evil(mark)))
    else:
        torch.save(stored, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(ValueError, match="evil.ckpt: ") as error:
        import_vq(path)
    assert "weights_only" not in str(error.value)  # torch's advice to read it all the same
    assert not mark.exists()
    if how == "zip":
        with pytest.raises(ValueError, match=r"found (posix|nt)\.system in it, which may be code"):
            read_checkpoint(path)
    with open(path, "rb") as file:  # the file would have run it
        if how == "pickle":
            pickle.load(file)
            assert mark.exists()


@pytest.mark.parametrize(
    "name", [("builtins", "eval"), ("builtins", "getattr"), ("torch", "load"), ("os", "getcwd")]
)
def test_no_other_global_is_built(tmp_path, name):
    """A pickle written by hand, as those who mean it write them."""
    path = tmp_path / "evil.ckpt"
    torch.save({}, path)
    data = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(data, "w") as new:
        for item in old.namelist():
            code = f"c{name[0]}\n{name[1]}\n(S'1'\ntR.".encode()
            new.writestr(item, code if item.endswith("data.pkl") else old.read(item))
    path.write_bytes(data.getvalue())
    with pytest.raises(ValueError, match=f"found {name[0]}.{name[1]} in it, which may be code"):
        read_checkpoint(path)


def test_torchscript_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with zipfile.ZipFile(tmp_path / "a.ckpt", "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(ValueError, match="TorchScript"):
        read_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize("data", [b"", b"version https://git-lfs", b"PK\x03\x04", b"\x80\x02K"])
def test_what_is_no_checkpoint_is_named(tmp_path, data):
    path = tmp_path / "a.ckpt"
    path.write_bytes(data)
    with pytest.raises(
        ValueError, match=rf"a.ckpt: found {len(data)} bytes that are truncated, no che"
    ):
        import_vq(path)
    with pytest.raises(ValueError, match="found no such file"):
        import_vq(tmp_path / "b.ckpt")


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": VQVAE.create(IMG).weights()}, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="a.ckpt: "):
        import_vq(path)


def reshape(state):
    state["quantize.embedding.weight"] = torch.zeros(65, 16)


def integers(state):
    state["quant_conv.bias"] = torch.zeros(16, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"found 182 tensors, expected 183: missing \[encoder.mid.attn_1.q.bias\], unexpe"),
        (add, r"missing \[\], unexpected \[decoder.up.0.attn.0.q.bias\]"),
        (reshape, r"other shapes than expected: \[quantize.embedding.weight \[65, 16\] for \[64"),
        (integers, "quant_conv.bias: found torch.int64, expected floating point"),
        (dict.clear, r"found 0 tensors, expected 183: missing \[encoder.conv_in.weight, .* 163 m"),
    ],
)
def test_other_weights_are_listed(tmp_path, change, message):
    state = VQVAE.create(IMG).weights()
    change(state)
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=message):
        import_vq(tmp_path / "a.ckpt", write(tmp_path / "a.yaml", taming()))


def test_what_is_no_state_dict_is_named(tmp_path):
    torch.save([1, 2], tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="found list, expected a state dict"):
        import_vq(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {}}, "found no tokenizer in it: missing 'ddconfig'"),
        ({"data": 1}, "missing 'model'"),
        ([1], "found no tokenizer in it: .*expected stage1.hparams, as minDALL-E's"),
        (None, "found no tokenizer in it: .*expected stage1.hparams, as minDALL-E's"),
        (taming(dataclasses.replace(IMG, ch=64)) | {"x": 1}, None),
        (mindalle() | {"stage1": {}}, "missing 'hparams'"),
    ],
)
def test_a_config_without_a_tokenizer_is_named(tmp_path, values, message):
    path = write(tmp_path / "a.yaml", values)
    if message is None:
        assert read_config(path).ch == 64
    else:
        with pytest.raises(ValueError, match=message):
            read_config(path)


def test_configs_of_other_models_are_named(tmp_path):
    for key, value in (("double_z", True), ("out_ch", 4), ("ch", 33)):
        values = taming()
        values["model"]["params"]["ddconfig"][key] = value
        with pytest.raises(ValueError, match=rf"a\.yaml: {key}.*found"):
            read_config(write(tmp_path / "a.yaml", values))
    (tmp_path / "a.yaml").write_text("!!python/object/apply:os.system ['touch ran']")
    with pytest.raises(ValueError, match="found no readable YAML"):
        read_config(tmp_path / "a.yaml")
