"""mindalle.py: its stage 2 under its own names, against the formula written down straight."""

import math
import re

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mas_fast.bundle import load_gpt, load_vq, read_sampling
from mas_fast.cli import app
from mas_fast.generation import EagerEngine, generate_tokens, score_tokens
from mas_fast.importers.bundle import import_bundle
from mas_fast.importers.mindalle import import_gpt, read_gpt_config
from mas_fast.models.gpt_config import preset
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset

D, LAYERS, HEADS, TEXT, IMG, N_TEXT, N_IMG = 24, 3, 4, 50, 64, 6, 9
HPARAMS = {"embed_dim": D, "n_layers": LAYERS, "n_heads": HEADS, "n_dense_layers": LAYERS}
HPARAMS |= {"ctx_len_img": N_IMG, "ctx_len_txt": N_TEXT, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
HPARAMS |= {"attn_pdrop": 0.0, "mlp_bias": True, "attn_bias": True, "gelu_use_approx": False}
STAGE2 = {"type": "transformer1d", "vocab_size_txt": TEXT, "vocab_size_img": IMG}


def shapes(d, layers, text, img, n_text, n_img) -> dict[str, tuple[int, ...]]:
    """The names of the published checkpoint."""
    found = {"tok_emb_img.weight": (img, d), "tok_emb_txt.weight": (text, d)}
    found |= {"pos_emb_img.weight": (n_img, d), "pos_emb_txt.weight": (n_text, d)}
    for i in range(layers):
        inside = {"ln1": (d,), "ln2": (d,), "mlp.0": (4 * d, d), "mlp.2": (d, 4 * d)}
        inside |= {f"attn.{name}": (d, d) for name in ("key", "query", "value", "proj")}
        for name, shape in inside.items():
            found[f"blocks.{i}.{name}.weight"] = shape
            found[f"blocks.{i}.{name}.bias"] = shape[:1]
    found |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    return found | {"head_img.weight": (img, d), "head_txt.weight": (text, d)}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = shapes(D, LAYERS, TEXT, IMG, N_TEXT, N_IMG)
    return {n: torch.randn(s, generator=generator) / math.sqrt(s[-1]) for n, s in sizes.items()}


@pytest.fixture
def folder(tmp_path, weights):
    """As the unpacked archive, without its captions' tokenizer."""
    model = VQVAE.create(vq_preset("tiny-img"))
    torch.save({"state_dict": model.weights()}, tmp_path / "stage1_last.ckpt")
    torch.save({"state_dict": weights}, tmp_path / "stage2_last.ckpt")
    c = model.config
    sizes = {"z_channels": c.z_channels, "resolution": c.resolution, "ch": c.ch}
    sizes |= {"num_res_blocks": c.num_res_blocks, "double_z": False, "in_channels": 3, "out_ch": 3}
    sizes |= {"ch_mult": list(c.ch_mult), "attn_resolutions": list(c.attn_resolutions)}
    stage1 = {"type": "vqgan", "embed_dim": c.embed_dim, "n_embed": c.codes, "hparams": sizes}
    values = {"stage1": stage1, "stage2": STAGE2 | {"hparams": HPARAMS}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def formula(w, text, img) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits for text 1.. and img 0.., from separate projections, one head at a time, with the mask
    written out."""

    def affine(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = torch.cat(
        [
            w["tok_emb_txt.weight"][text] + w["pos_emb_txt.weight"],
            w["tok_emb_img.weight"][img] + w["pos_emb_img.weight"][: img.shape[1]],
        ],
        1,
    )
    length = x.shape[1]
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    for i in range(LAYERS):
        h = norm(f"blocks.{i}.ln1", x)
        q, k, v = (affine(f"blocks.{i}.attn.{n}", h) for n in ("query", "key", "value"))
        outs = []
        for part in torch.arange(D).split(D // HEADS):
            scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(D // HEADS)
            outs.append(scores.masked_fill(~mask, -math.inf).softmax(-1) @ v[..., part])
        x = x + affine(f"blocks.{i}.attn.proj", torch.cat(outs, -1))
        h = affine(f"blocks.{i}.mlp.0", norm(f"blocks.{i}.ln2", x))
        h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
        x = x + affine(f"blocks.{i}.mlp.2", h)
    x = norm("ln_f", x)
    return (
        x[:, : N_TEXT - 1] @ w["head_txt.weight"].T,
        x[:, N_TEXT - 1 :] @ w["head_img.weight"].T,
    )


def test_logits_are_those_of_the_formula(folder, weights) -> None:
    model = import_gpt(folder / "stage2_last.ckpt", folder / "config.yaml").double()
    generator = torch.Generator().manual_seed(1)
    text = torch.randint(TEXT, (3, N_TEXT), generator=generator)
    img = torch.randint(IMG, (3, N_IMG), generator=generator)
    doubles = {name: weight.double() for name, weight in weights.items()}
    expected = formula(doubles, text, img[:, :-1])
    found = model(torch.cat([text, img], 1))
    for name, logits in zip(("text", "img"), expected, strict=True):
        torch.testing.assert_close(found[name], logits, rtol=1e-10, atol=1e-10)


def test_negative_captions_and_schedules(folder, weights) -> None:
    """Greedy, so that the formula's logits of caption and negative caption say each token."""
    generator = torch.Generator().manual_seed(2)
    text, null = torch.randint(1, TEXT, (2, N_TEXT), generator=generator)
    model = import_gpt(folder / "stage2_last.ckpt", folder / "config.yaml").double()
    how = {"temperature": 0.0, "guidance": {"img": [4.0, 1.0]}}
    found = generate_tokens(model, text, null=null, **how)
    doubles = {name: weight.double() for name, weight in weights.items()}
    img = found[:, N_TEXT:]
    cond, uncond = (formula(doubles, rows[None], img[:, :-1])[1] for rows in (text, null))
    guidance = torch.linspace(4, 1, N_IMG, dtype=torch.float64)[:, None]
    assert torch.equal((uncond + guidance * (cond - uncond)).argmax(-1), img)
    assert not torch.equal(generate_tokens(model, text, **how), found)
    scores = score_tokens(EagerEngine(model), text, found, null=null)
    of_token = [x.log_softmax(-1).gather(2, img[..., None]).sum() for x in (cond, uncond)]
    assert list(scores) == ["img"]
    assert scores["img"].tolist() == pytest.approx([float(of_token[0] - of_token[1])], abs=1e-5)


def test_the_published_checkpoint_fits() -> None:
    """680 tensors, by name and shape, without their values."""
    from mas_fast.importers.mindalle import _renamed
    from mas_fast.utils.checkpoint import check_weights

    config = preset("mindalle-1.3b")
    sizes = shapes(1536, 42, 16384, 16384, 64, 256)
    assert len(sizes) == 680
    assert sum(map(math.prod, sizes.values())) == 1_291_081_728
    empty = {name: torch.empty(shape, device="meta") for name, shape in sizes.items()}
    check_weights("1.3B", _renamed(empty), config.weight_shapes())


def test_import_writes_the_gpt_too(folder, weights, tmp_path) -> None:
    done = CliRunner().invoke(app, ["import", str(folder), "-o", str(tmp_path / "bundle")])
    assert done.exit_code == 0, done.output
    assert "gpt.safetensors" in done.output
    assert "vq_img.safetensors" in done.output
    model = load_gpt(tmp_path / "bundle")
    assert torch.equal(model.head["img"].weight, weights["head_img.weight"])
    stacked = torch.cat([weights[f"blocks.1.attn.{n}.weight"] for n in ("query", "key", "value")])
    assert torch.equal(model.blocks[1].attention.qkv.weight, stacked)
    assert load_vq(tmp_path / "bundle", "vq_img").config.codes == 64
    files = import_bundle(folder / "stage2_last.ckpt", tmp_path / "alone", folder / "config.yaml")
    assert files == ["gpt.safetensors", "sampling.json"]
    # As the original draws by default, which knows no guidance: one row a token, not two.
    own = {"guidance": 1.0, "temperature": 1.0, "top_k": 256, "top_p": None}
    assert read_sampling(tmp_path / "bundle") == read_sampling(tmp_path / "alone") == own
    assert torch.equal(load_gpt(tmp_path / "alone").norm.weight, weights["ln_f.weight"])


def test_both_stages_in_one_file_and_half_precision(folder, weights) -> None:
    state = {f"stage2.{name}": weight.half() for name, weight in weights.items()}
    state |= {"stage1.quant_conv.bias": torch.ones(3)}
    state |= {"stage2.blocks.0.attn.mask": torch.ones(1, 1, 15, 15)}
    torch.save({"state_dict": state}, folder / "both.ckpt")
    model = import_gpt(folder / "both.ckpt", folder / "config.yaml", pad=7)
    assert model.dtype == torch.float32
    assert model.streams["text"].pad == 7
    assert torch.equal(model.norm.bias.half(), weights["ln_f.bias"].half())


def test_what_is_missing_or_strange_is_listed(folder, weights) -> None:
    del weights["blocks.1.attn.key.bias"]
    torch.save(weights | {"sos": torch.ones(1)}, folder / "stage2_last.ckpt")
    message = r"missing \[blocks.1.attention.qkv.bias\], unexpected \[sos, blocks.1.attn.query.bias"
    with pytest.raises(ValueError, match=message):
        import_bundle(folder, folder / "bundle")
    assert not (folder / "bundle").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "igpt"}, "stage2.type: found 'igpt', expected 'transformer1d'"),
        ({"gelu_use_approx": True}, "gelu_use_approx: found True, expected False"),
        ({"n_heads": 5}, "heads: found 5, expected a divisor of dim = 24"),
        ({"ctx_len_img": 10}, r"'img': grid: found \(3, 3\), expected height x width = 10"),
        ({"embed_dim": None}, "embed_dim|dim: found None|in it: unsupported operand"),
    ],
)
def test_configs_that_cannot_be_built(tmp_path, changes, message) -> None:
    outer = {key: value for key, value in changes.items() if key == "type"}
    inner = {key: value for key, value in changes.items() if key != "type"}
    values = {"stage2": STAGE2 | outer | {"hparams": HPARAMS | inner}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(ValueError, match=f"{re.escape(str(file))}: .*({message})"):
        read_gpt_config(file)
    file.write_text("stage1: {}\n")
    with pytest.raises(ValueError, match="found no stage 2 in it: missing 'stage2'"):
        read_gpt_config(file)
