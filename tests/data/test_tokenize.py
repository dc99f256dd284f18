"""data/tokenize.py: scene shards through the tokenizers of a bundle."""

import hashlib
import importlib.util
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from mas_fast.bundle import load_bpe, load_vq, save_bpe, save_vq  # noqa: E402
from mas_fast.data.prepare import Rules, prepare  # noqa: E402
from mas_fast.data.sources.open import open_source  # noqa: E402
from mas_fast.data.token_shards import CHECKED, TokenShards  # noqa: E402
from mas_fast.data.tokenize import streams_of, tokenize  # noqa: E402
from mas_fast.models.vqvae import VQVAE, VQConfig, preset  # noqa: E402
from mas_fast.scene import clean  # noqa: E402
from mas_fast.text.bpe import BPE  # noqa: E402
from mas_fast.utils.locks import LOCK  # noqa: E402

NO_RAY = importlib.util.find_spec("ray") is None
CAPTIONS = [["a red house", "two dogs on a very long road that never ends"], [], ["빨간 집"]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "captions.txt").write_text("a red house\na red dog\ntwo red dogs\n" * 3)
    save_bpe(
        folder, BPE.train([folder / "captions.txt"], vocab_size=265, length=12, progress=False)
    )
    for name, kind in (("vq_seg", "tiny-seg"), ("vq_img", "tiny-img")):
        model = VQVAE.create(preset(kind), seed=3)
        with torch.no_grad():  # random codes lie far apart from random features: use more of them
            model.quantize.embedding.weight.mul_(0.05)
        save_vq(folder, name, model)
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Eleven samples in shards of 4, 3 and 4, in another layout than the tokenizer's, none of them
    square."""
    folder = tmp_path_factory.mktemp("scenes")
    random, number = np.random.default_rng(0), 0
    for n, count in enumerate((4, 3, 4)):
        with tarfile.open(folder / f"{n}.tar", "w") as tar:
            for _ in range(count):
                pixels = random.integers(256, size=(4, 5, 3), dtype=np.uint8)
                image, file = Image.fromarray(pixels).resize((50, 40)), io.BytesIO()
                image.save(file, "PNG")
                labels = random.integers(133, size=(4, 5), dtype=np.uint8).repeat(10, 0)
                labels = labels.repeat(10, 1)
                labels[:20] = 0  # persons, with human parts, whose numbers the layouts differ in
                human = (labels == 0) * random.integers(1, 20, dtype=np.uint8)
                seg, edge = clean(labels, human=human).to_pngs()
                captions = json.dumps({"captions": CAPTIONS[number % 3]}).encode()
                parts = {"png": file.getvalue(), "seg.png": seg, "edge.png": edge, "json": captions}
                for suffix, part in parts.items():
                    member = tarfile.TarInfo(f"{number:02}.{suffix}")
                    member.size = len(part)
                    tar.addfile(member, io.BytesIO(part))
                number += 1
    out = tmp_path_factory.mktemp("prepared")
    prepare(folder, out, rules=Rules(32, "mas159"), progress=False)
    return out


def content(folder: Path) -> dict[str, str]:
    files = (file for file in folder.iterdir() if file.name not in (LOCK, CHECKED))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, scenes, bundle) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    tokenize(scenes, bundle, folder, batch=3, progress=False)
    return folder


def test_tokens_are_what_the_tokenizers_say(tokens, scenes, bundle):
    found = TokenShards(tokens)
    found.verify()
    assert found.streams == streams_of(bundle)
    assert [shard["samples"] for shard in found.shards] == [4, 3, 4]
    bpe = load_bpe(bundle)
    seg, img = load_vq(bundle, "vq_seg"), load_vq(bundle, "vq_img")
    samples = list(open_source(scenes))
    assert len(found) == len(samples) == 11
    for n, sample in enumerate(samples):
        text, seg_codes, img_codes = found[n]
        assert found.key(n) == sample.key
        assert found.captions(n) == CAPTIONS[n % 3]
        if sample.captions:
            assert np.array_equal(text, bpe.encode(sample.captions).ids)
        else:
            assert text.tolist() == [[bpe.pad_id] * 12]
        left = (sample.image.width - 32) // 2
        square = sample.crop(0, left, 32, 32)
        scene = square.scene.to("mini158")
        x = torch.from_numpy(scene.labels)[None], torch.from_numpy(scene.edges)[None]
        assert seg_codes.tolist() == seg.encode(x).flatten().tolist()
        pixels = torch.from_numpy(np.array(square.image)).permute(2, 0, 1)[None]
        assert img_codes.tolist() == img.encode(pixels.float() / 127.5 - 1).flatten().tolist()
    assert len({tuple(found[n].img) for n in range(11)}) == 11
    assert len({tuple(found[n].seg) for n in range(11)}) == 11
    cars = [json.loads((tokens / f"0000{n}.json").read_text()) for n in range(3)]
    assert [(car["samples"], car["captions"], car["truncated"]) for car in cars] == [
        (4, 5, 2),
        (3, 3, 1),
        (4, 3, 1),
    ]


def test_captions_with_hints(tmp_path, tokens, scenes, bundle):
    wordy = tmp_path / "bundle"
    shutil.copytree(bundle, wordy)
    texts = [wordy / "captions.txt"]
    save_bpe(wordy, BPE.train(texts, vocab_size=265, length=200, progress=False))
    for folder in ("one", "two"):
        tokenize(scenes, wordy, tmp_path / folder, batch=3, hints=3, progress=False)
    found, plain = TokenShards(tmp_path / "one"), TokenShards(tokens)
    told = []
    for n in range(len(found)):
        captions = found.captions(n)
        own, hinted = captions[: len(CAPTIONS[n % 3])], captions[len(CAPTIONS[n % 3]) :]
        assert own == plain.captions(n)
        assert len(found[n].text) == max(1, len(captions))
        assert len(hinted) == (3 if own else 0)
        for i, text in enumerate(hinted):
            assert text.startswith(own[i % len(own)])
        told += hinted
        assert np.array_equal(found[n].seg, plain[n].seg)
    assert sum("; given " in text for text in told) > len(told) / 2
    assert any("person" in text for text in told)  # as parts
    assert content(tmp_path / "one") == content(tmp_path / "two")
    with pytest.raises(ValueError, match="hints"):
        tokenize(scenes, wordy, tmp_path / "one", batch=3, progress=False)
    with pytest.raises(ValueError, match="hints: found -1"):
        tokenize(scenes, wordy, tmp_path / "three", hints=-1, progress=False)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param({"workers": 2}, marks=pytest.mark.slow),
        pytest.param(
            {"workers": 2, "ray": "local"},
            marks=[pytest.mark.slow, pytest.mark.skipif(NO_RAY, reason="Ray is not installed")],
        ),
    ],
    ids=str,
)
def test_the_same_bytes_whoever_makes_them(tmp_path, tokens, scenes, bundle, way):
    tokenize(scenes, bundle, tmp_path / "out", batch=3, progress=False, **way)
    assert content(tmp_path / "out") == content(tokens)


def test_a_run_goes_on(tmp_path, tokens, scenes, bundle, monkeypatch):
    from mas_fast.data import tokenize as encode

    real, calls = encode.write_tokens, []

    def write(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", "the disk")
        return real(*arguments)

    monkeypatch.setattr(encode, "write_tokens", write)
    with pytest.raises(OSError, match=r"No space left on device \(2 shards are left"):
        tokenize(scenes, bundle, tmp_path / "out", batch=3, progress=False)
    with pytest.raises(ValueError, match="has not come to its end"):
        TokenShards(tmp_path / "out")
    tokenize(scenes, bundle, tmp_path / "out", batch=3, progress=False)
    assert len(calls) == 4
    assert content(tmp_path / "out") == content(tokens)
    tokenize(scenes, bundle, tmp_path / "out", batch=3, progress=False)
    assert len(calls) == 4


def test_other_tokenizers_are_other_options(tmp_path, tokens, scenes, bundle):
    other = tmp_path / "other"
    other.mkdir()
    for file in bundle.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    save_vq(other, "vq_img", VQVAE.create(preset("tiny-img"), seed=4))
    with pytest.raises(ValueError, match="found shards made with tokenizers = "):
        tokenize(scenes, other, tokens, batch=3, progress=False)
    with pytest.raises(ValueError, match="made with batch = 3, now it is 4"):
        tokenize(scenes, bundle, tokens, batch=4, progress=False)


def test_the_same_scenes_go_on_wherever_they_lie(tmp_path, tokens, scenes, bundle):
    """Also prepared once more from the same pictures; of other pictures they are refused."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in scenes.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    values = json.loads((copy / "manifest.json").read_text())
    values["options"]["input"]["times"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(values))
    before = content(tokens)
    tokenize(copy, bundle, tokens, batch=3, progress=False)
    assert content(tokens) == before
    other = tmp_path / "other"
    prepare(scenes, other, rules=Rules(48), progress=False)
    message = "found tokens of other scenes than .*other has now: .* another folder with --output"
    with pytest.raises(ValueError, match=message):
        tokenize(other, bundle, tokens, batch=3, progress=False)
    assert content(tokens) == before


def test_parquet(tmp_path, tokens, scenes, bundle):
    import pyarrow.parquet as parquet

    tokenize(scenes, bundle, tmp_path / "out", format="parquet", batch=3, progress=False)
    table = parquet.read_table(tmp_path / "out" / "00002.parquet")
    found = TokenShards(tokens)
    assert table["img"].to_pylist() == [found[n].img.tolist() for n in range(7, 11)]
    assert table["text"].to_pylist() == [found[n].text.tolist() for n in range(7, 11)]


def test_scenes_that_were_changed_are_refused(tmp_path, scenes, bundle):
    copy = tmp_path / "scenes"
    copy.mkdir()
    for file in scenes.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    whole = (copy / "00001.tar").read_bytes()
    (copy / "00001.tar").write_bytes(whole[:-1] + b"x")
    with pytest.raises(ValueError, match="00001.tar: found sha256 .*, expected"):
        tokenize(copy, bundle, tmp_path / "out", batch=3, progress=False)
    assert (tmp_path / "out" / "00000.arrow").exists()


def test_unfit_arguments(tmp_path, scenes, bundle):
    for arguments, message in (
        ({"format": "csv"}, r"format: found 'csv', expected one of \['arrow', 'parquet'\]"),
        ({"batch": 0}, "batch: found 0"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenize(scenes, bundle, tmp_path / "out", **arguments)
    with pytest.raises(ValueError, match="found no manifest.json"):
        tokenize(bundle, bundle, tmp_path / "out")
    with pytest.raises(ValueError, match="found no such file, expected the captions' tokenizer"):
        tokenize(scenes, scenes, tmp_path / "out")
    other = tmp_path / "other"
    save_bpe(other, load_bpe(bundle))
    tiny = preset("tiny-seg").to_dict()
    save_vq(other, "vq_img", load_vq(bundle, "vq_img"))
    save_vq(other, "vq_seg", VQVAE.create(VQConfig(**{**tiny, "layout": None, "channels": 157})))
    with pytest.raises(ValueError, match="vq_seg: found no layout of scenes"):
        tokenize(scenes, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
