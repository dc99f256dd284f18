"""Checkpoints of minDALL-E, taming and CasualGAN, and those that must not be read."""

import dataclasses
import io
import json
import os
import pickle
import re
import sys
import types
import warnings
import zipfile

import pytest
import torch
import yaml
from torch import nn
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.bundle import load_bpe, load_vq
from mas_fast.evaluation.reconstruction import evaluate
from mas_fast.importers.bundle import import_bundle
from mas_fast.importers.vqgan import import_vq, read_checkpoint, read_config
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset
from mas_fast.models.vqvae_layers import Attention, Downsample, Norm, ResnetBlock, Upsample
from mas_fast.utils.checkpoint import state_dict

IMG, SEG = preset("tiny-img"), preset("tiny-seg")
GUMBEL = dataclasses.replace(IMG, z_channels=16, quantizer="gumbel", beta=1e-8)


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


def drop(state):
    del state["encoder.mid.attn_1.q.bias"]


def add(state):
    state["decoder.up.0.attn.0.q.bias"] = torch.zeros(3)


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
    with pytest.raises(ValueError, match="not a readable YAML file"):
        read_config(tmp_path / "a.yaml")


# ---------------------------------------------------------------------- into a bundle


def mindalle_folder(folder, config=IMG):
    model = VQVAE.create(config)
    (folder / "tokenizer").mkdir(parents=True)
    torch.save({"state_dict": model.weights()}, folder / "stage1_last.ckpt")
    write(folder / "config.yaml", mindalle(config))
    words = ["[PAD]", "[UNK]", "a", "b", "a</w>", "b</w>", "ab</w>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "tokenizer" / "bpe-16k-vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer" / "bpe-16k-merges.txt").write_text("#version: 0.2\na b</w>\n")
    return model


def check(bundle, model):
    loaded = load_vq(bundle, "vq_img")
    same(loaded, model)
    codes = torch.arange(16).view(1, 4, 4)
    with torch.no_grad():
        pictures = loaded.decode(codes)
        assert torch.equal(pictures, model.decode(codes))
    f = model.config.f
    assert pictures.shape == (1, 3, 4 * f, 4 * f) and pictures.isfinite().all()


def test_mindalle_folder_to_bundle(tmp_path):
    model = mindalle_folder(tmp_path / "1.3B")
    bundle = tmp_path / "bundle"
    arguments = ["import", str(tmp_path / "1.3B"), "-o", str(bundle)]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    names = ["config.json", "tokenizer.json", "vq_img.safetensors"]
    assert sorted(os.listdir(bundle)) == names
    assert "vq_img.safetensors" in result.output and "tokenizer.json" in result.output
    check(bundle, model)
    assert load_bpe(bundle).vocab_size == 7


def test_the_command_tells_what_was_taken_off(tmp_path):
    state = {f"module.{name}": w for name, w in VQVAE.create(IMG).weights().items()}
    torch.save(state, tmp_path / "a.ckpt")
    file = write(tmp_path / "a.yaml", taming())
    words = ["import", tmp_path / "a.ckpt", "--config", file, "-o", tmp_path / "bundle"]
    result = CliRunner().invoke(cli.app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    told = f"warning: {tmp_path / 'a.ckpt'}: took the weights whose names begin with 'module.'"
    assert told in result.stderr and result.stderr.count("\n") == 1


def test_taming_folder_to_bundle(tmp_path):
    model = VQVAE.create(SEG)
    for name in ("configs", "checkpoints"):
        (tmp_path / "run" / name).mkdir(parents=True)
    torch.save({"state_dict": model.weights()}, tmp_path / "run" / "checkpoints" / "last.ckpt")
    write(tmp_path / "run" / "configs" / "2021-project.yaml", taming(SEG))
    assert import_bundle(tmp_path / "run", tmp_path / "bundle") == ["vq_seg.safetensors"]
    same(load_vq(tmp_path / "bundle", "vq_seg"), model)
    write(tmp_path / "run" / "configs" / "2022-project.yaml", taming(SEG))
    with pytest.raises(ValueError, match=r"found \['2021-project.yaml', '2022-project.yaml'\]"):
        import_bundle(tmp_path / "run", tmp_path / "bundle")
    with pytest.raises(ValueError, match="found none of"):
        import_bundle(tmp_path, tmp_path / "bundle")


def test_a_refused_checkpoint_leaves_no_bundle(tmp_path):
    torch.save({}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"missing \[encoder.conv_in.weight"):
        import_bundle(tmp_path / "a.ckpt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_command_lists_the_names_in_one_line(tmp_path, monkeypatch):
    state = VQVAE.create(IMG).weights()
    drop(state)
    add(state)
    torch.save(state, tmp_path / "a.ckpt")
    file = write(tmp_path / "a.yaml", taming())
    words = ["import", tmp_path / "a.ckpt", "--config", file, "-o", tmp_path / "bundle"]
    monkeypatch.setattr(sys, "argv", ["mas-fast", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    names = r"missing \[encoder.mid.attn_1.q.bias\], unexpected \[decoder.up.0.attn.0.q.bias\]"
    assert re.fullmatch(f"mas-fast: .*a.ckpt: found .*{names}", end.value.code)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_mindalle_in_full_size(tmp_path):
    model = mindalle_folder(tmp_path / "1.3B", preset("vq-img-f16"))
    assert len(model.weights()) == 343
    import_bundle(tmp_path / "1.3B", tmp_path / "bundle")
    check(tmp_path / "bundle", model)
