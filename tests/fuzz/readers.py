"""Every reader of files: how to make whole ones, and how they are read.

    READERS["arrow"].make(folder)        # seeds, to be changed
    READERS["arrow"].read(folder)        # ValueError, OSError, ImportError, MemoryError or nothing

`files` are the patterns of what is changed; `mend`, if there is one, puts right what would hide the
change from the reader, such as a checksum.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Reader:
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    files: tuple[str, ...] = ("*",)
    mend: Callable[[Path], object] = lambda folder: None


def attempt(*calls: Callable[[], object]) -> None:
    """All of them, though the first may refuse; the last refusal goes on."""
    refusal = None
    for call in calls:
        try:
            call()
        except (ValueError, OSError, ImportError, MemoryError) as error:
            refusal = error
    if refusal:
        raise refusal


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


# ---------------------------------------------------------------------------- shards


def make_arrow(folder: Path) -> None:
    from mas_fast.data.shards import TOKENS, ShardFolder
    from mas_fast.data.token_shards import TokenShards, token_batch, write_tokens
    from mas_fast.streams import Stream, Streams

    draw = np.random.default_rng(0)
    seg, img = Stream("seg", 4, 32, (2, 2)), Stream("img", 9, 64, (3, 3))
    streams = Streams([Stream("text", 5, 300, pad=0), seg, img])
    options = {"format": "arrow", "streams": streams.to_list(), "batch": 8, "device": "cpu"}
    shards = ShardFolder(folder, TOKENS, "arrow", options, 2)
    for number in shards.begin():
        rows = 3 + number

        def ids(name: str, n: int) -> np.ndarray:
            return draw.integers(streams[name].vocab, size=(n, streams[name].length))

        batch = token_batch(
            streams,
            [f"{number}/{n}" for n in range(rows)],
            [[f"{n} 빨간 🏠"] * n for n in range(rows)],
            [ids("text", max(n, 1)) for n in range(rows)],
            ids("seg", rows),
            ids("img", rows),
        )
        shards.commit(number, lambda file, batch=batch: write_tokens(file, batch))
    shards.finish()
    TokenShards(folder)  # so that .checked.json is there


def read_arrow(folder: Path) -> None:
    from mas_fast.data.token_shards import TokenShards
    from mas_fast.text.bpe import BPE  # noqa: F401  (training imports it)

    tokens = TokenShards(folder)
    for index in range(len(tokens)):
        row = tokens[index]
        captions = tokens.captions(index)
        assert len(row.text) == max(1, len(captions))
        assert isinstance(tokens.key(index), str)
        for stream, ids in zip(tokens.streams, row, strict=True):
            assert ids.shape[-1] == stream.length
            assert 0 <= int(ids.max()) < stream.vocab


def believe(folder: Path) -> None:
    """The manifest says of the shards what they are, so that the checksum hides nothing."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for shard in manifest["shards"]:
            content = (folder / shard["file"]).read_bytes()
            shard["bytes"], shard["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    except Exception:  # it was changed too
        pass


def make_scenes(folder: Path) -> None:
    from PIL import Image

    from mas_fast.data.prepare import Rules, prepare
    from mas_fast.scene import Scene

    photos = folder / "photos"
    photos.mkdir()
    for n in range(2):
        labels = np.full((16, 16), n, np.uint8)
        labels[4:9, 4:9] = 0
        image = Image.fromarray(np.full((16, 16, 3), 40 * n, np.uint8))
        scene = Scene(labels, np.zeros((16, 16), bool))
        seg, edge = scene.to_pngs()
        image.save(photos / f"{n}.jpg")
        (photos / f"{n}.seg.png").write_bytes(seg)
        (photos / f"{n}.edge.png").write_bytes(edge)
        (photos / f"{n}.txt").write_text("a red house")
    (photos / "broken.jpg").write_bytes(b"no picture")
    prepare(photos, folder / "scenes", rules=Rules(size=16), progress=False)


def read_scenes(folder: Path) -> None:
    from mas_fast.data.report import Report

    report = Report.read(folder / "scenes")
    report.contents()
    report.write_html(folder / "report.html")


def resume_scenes(folder: Path) -> None:
    from mas_fast.data.prepare import Rules, prepare

    prepare(folder / "photos", folder / "scenes", rules=Rules(size=16), progress=False)


# ---------------------------------------------------------------------------- sources and scenes


def make_tar(folder: Path) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(picture, "JPEG")
    label = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(label, "PNG")
    edge = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), bool)).save(edge, "PNG")
    info = json.dumps({"caption": "a house", "face_boxes": [[1, 1, 5, 5]], "status": "success"})
    with tarfile.open(folder / "a.tar", "w") as tar:
        for key in ("1", "2"):
            for suffix, content in (
                ("jpg", picture.getvalue()),
                ("json", info.encode()),
                ("seg.png", label.getvalue()),
                ("edge.png", edge.getvalue()),
            ):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def read_source(folder: Path) -> None:
    from mas_fast.data.sources.base import Sample
    from mas_fast.data.sources.open import open_source

    for item in open_source(folder):
        if isinstance(item, Sample):
            item.square(8).scene  # noqa: B018


def make_table(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from PIL import Image

        for n in range(2):
            Image.fromarray(np.full((8, 8, 3), 90 * n, np.uint8)).save(folder / f"{n}.jpg")
        rows = [{"file_name": f"{n}.jpg", "text": f"a house {n}"} for n in range(2)]
        if suffix == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as parquet

            parquet.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
        elif suffix == "jsonl":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "metadata.jsonl").write_text(lines)
        else:
            lines = "".join(",".join(row.values()) + "\n" for row in rows)
            (folder / "metadata.csv").write_text(f"file_name,text\n{lines}")

    return make


def make_coco(folder: Path) -> None:
    from PIL import Image

    for name in ("val2017", "annotations/panoptic_val2017"):
        (folder / name).mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(folder / "val2017" / "1.jpg")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:5, 2:5, 0] = 7
    Image.fromarray(pixels).save(folder / "annotations" / "panoptic_val2017" / "1.png")
    segments = [{"id": 7, "category_id": 1, "iscrowd": 0, "bbox": [2, 2, 3, 3], "area": 9}]
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": segments}
    values = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 8, "width": 8}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "person", "isthing": 1, "supercategory": "person"}],
    }
    (folder / "annotations" / "panoptic_val2017.json").write_text(json.dumps(values))
    captions = {"images": values["images"], "annotations": [{"image_id": 1, "caption": "a man"}]}
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(captions))


def make_pngs(folder: Path) -> None:
    from PIL import Image

    from mas_fast.scene import Scene

    labels = np.zeros((12, 12), np.uint8)
    labels[3:8, 3:8] = 5
    Scene(labels, np.zeros((12, 12), bool)).save(folder / "ours.png")
    Image.fromarray(labels).save(folder / "grey.png")
    palette = Image.fromarray(labels, "P")
    palette.putpalette([n % 256 for n in range(768)])
    palette.save(folder / "palette.png")
    pixels = np.zeros((12, 12, 3), np.uint8)
    pixels[3:8, 3:8, 0] = 7
    Image.fromarray(pixels).save(folder / "coco.png")
    (folder / "coco.json").write_text(
        json.dumps({"segments_info": [{"id": 7, "category_id": 1, "isthing": True}]})
    )


def read_pngs(folder: Path) -> None:
    from mas_fast.scene.open import open_scene

    named = {"grey.png": "mini158", "palette.png": "ade20k"}
    files = sorted(folder.glob("*.png"))
    attempt(*(partial(open_scene, file, labels=named.get(file.name), size=8) for file in files))


def make_captions(folder: Path) -> None:
    text = "a red house\n빨간 집 🏠\n\nthe car\n"
    (folder / "a.txt").write_text(text)
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "c.tsv").write_text("a house\thttp://x.org/1\na car\thttps://x.org/2\n")
    rows = [{"id": n, "image_id": n, "caption": f"house {n}"} for n in range(3)]
    (folder / "d.json").write_text(json.dumps({"info": {"x": [1.5]}, "annotations": rows}))


def read_captions(folder: Path) -> None:
    from mas_fast.text.captions import captions

    files = sorted(folder.iterdir())
    attempt(*(lambda file=file: [text.encode() for text in captions([file])] for file in files))


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


READERS = {
    "bundle": Reader(make_bundle, read_bundle),
    "tokenizer": Reader(make_tokenizer, read_tokenizer),
    "arrow": Reader(make_arrow, read_arrow),
    "arrow_layout": Reader(make_arrow, read_arrow, ("*.arrow",), believe),
    "scenes": Reader(make_scenes, read_scenes, ("scenes/*",)),
    "resume": Reader(make_scenes, resume_scenes, ("scenes/*.json",)),
    "tar": Reader(make_tar, read_source),
    "csv": Reader(make_table("csv"), read_source),
    "jsonl": Reader(make_table("jsonl"), read_source),
    "parquet": Reader(make_table("parquet"), read_source, ("*.parquet",)),
    "coco": Reader(make_coco, read_source, ("**/*",)),
    "png": Reader(make_pngs, read_pngs),
    "captions": Reader(make_captions, read_captions),
    "yaml": Reader(make_yaml, read_yaml),
    "checkpoints": Reader(make_checkpoints, read_checkpoints, ("**/*",)),
    "index": Reader(make_checkpoints, read_checkpoints, ("*/.metadata", "*/*.distcp"), forget),
    "torch": Reader(make_torch, read_torch),
    "npz": Reader(make_npz, read_npz),
    "onnx": Reader(make_onnx, read_onnx),
}
