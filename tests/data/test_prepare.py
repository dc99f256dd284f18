"""data/prepare.py: what becomes of a sample, and that shards do not depend on who makes them."""

import io
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.prepare import Rules, prepare
from mas_fast.data.shards import SCENES, read_manifest
from mas_fast.data.sources.base import Reject
from mas_fast.data.sources.open import open_source
from mas_fast.scene import clean
from prepared import content, folder_of, grey, jpeg, rejects, write_tar

FAKES = '''
import numpy as np
from dataclasses import replace
from mas_fast.data.annotators.base import Annotator
from mas_fast.scene import Layers

class Halves(Annotator):
    """The left half is a person, the right half a label that the colour decides."""
    adds = ("panoptic", "instances")
    def __init__(self, person=0):
        self.person = person
    def __call__(self, images, layers):
        made = []
        for image in images:
            if image[0, 0, 0] > 250:
                raise ValueError("found a picture that is too bright")
            panoptic = np.full(image.shape[:2], 1 + image[0, 0, 0] // 8, np.uint8)
            panoptic[:, : image.shape[1] // 2] = self.person
            made.append(Layers(panoptic, panoptic.astype(np.int32)))
        return made

class Arms(Annotator):
    """Arms everywhere."""
    adds = ("human",)
    def __call__(self, images, layers):
        return [replace(known, human=np.full(known.panoptic.shape, 14, np.uint8))
                for known in layers]
'''


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """The name of a module of annotators that workers can import too."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "mas_fast_fakes.py").write_text(FAKES)
    monkeypatch.syspath_prepend(folder)
    yield "mas_fast_fakes"
    sys.modules.pop("mas_fast_fakes", None)


def members(folder: Path) -> dict[str, bytes]:
    found = {}
    for tar in sorted(folder.glob("*.tar")):
        with tarfile.open(tar) as file:
            for member in file:
                assert member.name not in found
                found[member.name] = file.extractfile(member).read()
    return found


# ---------------------------------------------------------------------------- one sample


def test_a_sample_is_stored_with_all_its_parts(tmp_path, fakes):
    source = folder_of(
        tmp_path / "source",
        {
            "a.v1.jpg": jpeg(grey(80)),
            "a.v1.txt": "A  red house.\n안녕하세요 🙂\n".encode(),
            "a.v1.json": b'{"url": "http://a", "exif": "long", "captions": ["one\\ntwo", "x"]}',
            "b.png": jpeg(grey(160, 40, 30)),
        },
    )
    manifest = prepare(
        source,
        tmp_path / "out",
        rules=Rules(size=10),
        annotators=[f"{fakes}:Halves", f"{fakes}:Arms"],
        progress=False,
    )
    assert [shard["samples"] for shard in manifest["shards"]] == [2]
    found = members(tmp_path / "out")
    suffixes = ("jpg", "txt", "json", "seg.png", "edge.png")
    assert list(found) == [f"000000000{n}.{suffix}" for n in range(2) for suffix in suffixes]
    assert found["0000000000.txt"] == b"one two\nx\n"
    assert json.loads(found["0000000000.json"]) == {
        "captions": ["one\ntwo", "x"],
        "width": 15,
        "height": 10,
        "source": {"key": "a.v1", "url": "http://a"},
    }
    first, second = open_source(tmp_path / "out")
    assert first.image.size == (15, 10)
    assert second.image.size == (10, 13)
    assert first.captions == ["one\ntwo", "x"]
    assert second.captions == []
    # Arms are everywhere, since there is a person: they cover all else.
    assert set(np.unique(first.scene.labels)) == {132 + 14}
    instances = np.zeros((10, 15), np.int32)
    instances[:, 7:] = 1
    expected = clean(instances.astype(np.uint8), instances, np.full((10, 15), 14, np.uint8))
    assert first.scene == expected
    assert first.scene.edges.any()


def test_boxes_are_stored_at_the_stored_size(tmp_path, fakes):
    """Also of an empty list, which says that there are none, and when prepared once more."""
    about = b'{"object_boxes": [[0, 2, 30, 20], [3, 4, 5.5, 6]], "face_boxes": []}'
    source = folder_of(
        tmp_path / "source",
        {
            "a.jpg": jpeg(grey(80)),
            "a.json": about,
            "b.jpg": jpeg(grey(80, 10, 10)),  # of the stored size
            "b.json": b'{"face_boxes": [[1, 2, 3, 4]]}',
            "c.jpg": jpeg(grey(80)),
        },
    )
    prepare(
        source, tmp_path / "10", rules=Rules(10), annotators=[f"{fakes}:Halves"], progress=False
    )
    stored = members(tmp_path / "10")
    found = [json.loads(stored[f"000000000{n}.json"]) for n in range(3)]
    assert found[0]["object_boxes"] == [[0, 1, 15, 10], [1.5, 2, 2.75, 3]]
    assert found[0]["face_boxes"] == []
    assert found[1]["face_boxes"] == [[1, 2, 3, 4]]
    assert "object_boxes" not in found[1]
    assert not {"object_boxes", "face_boxes"} & set(found[2])
    prepare(tmp_path / "10", tmp_path / "20", rules=Rules(20), progress=False)
    first, second, third = open_source(tmp_path / "20")
    assert first.boxes.objects.tolist() == [[0, 2, 30, 20], [3, 4, 5.5, 6]]
    assert first.boxes.faces.shape == (0, 4)
    assert second.boxes.faces.tolist() == [[2, 4, 6, 8]]
    assert second.boxes.objects is None
    assert third.boxes.objects is None
    assert third.boxes.faces is None


def test_the_person_gate_and_the_layout(tmp_path, fakes):
    source = folder_of(tmp_path / "source", {"a.jpg": jpeg(grey(80))})
    for name, person, rules in (
        ("nobody", 5, Rules(20)),
        ("few", 0, Rules(20, min_person_px=301)),
        ("restricted", 0, Rules(20, "mas159", restrict_to_person=True)),
    ):
        annotators = [f"{fakes}:Halves person={person}", f"{fakes}:Arms"]
        prepare(source, tmp_path / name, rules=rules, annotators=annotators, progress=False)
        (sample,) = open_source(tmp_path / name)
        halves = sample.scene.labels[0, 0], sample.scene.labels[0, -1]
        assert halves == {"nobody": (5, 11), "few": (0, 11), "restricted": (147, 11)}[name]
        assert sample.scene.layout.name == rules.layout
        car = json.loads((tmp_path / name / "00000.json").read_text())["statistics"]
        assert (car["persons"], car["closed"]) == ((1, 0) if name == "restricted" else (0, 1))


def test_a_jpeg_of_the_right_size_is_kept_as_it_is(tmp_path, fakes):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    noise = np.random.default_rng(0).integers(250, size=(20, 30, 3), dtype=np.uint8)
    noise[0, 0] = 80
    files = {
        "a.jpg": jpeg(noise, quality=40),
        "b.jpg": jpeg(noise[..., 0], quality=40),
        "c.jpg": jpeg(noise[::-1, ::-1], quality=40, exif=exif),
        "d.jpg": jpeg(noise[:19], quality=40),
        "e.jpg": jpeg(np.full((20, 30, 4), 80, np.uint8)[..., :3], quality=40),
    }
    source = folder_of(tmp_path / "source", files)
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 4), 80, np.uint8), "CMYK").save(file, "JPEG")
    (source / "f.jpg").write_bytes(file.getvalue())
    prepare(
        source,
        tmp_path / "out",
        rules=Rules(20),
        annotators=[f"{fakes}:Halves"],
        progress=False,
    )
    found = members(tmp_path / "out")
    stored = {json.loads(v)["source"]["key"]: n for n, v in found.items() if n.endswith("json")}
    kept = {
        key: found[name.replace("json", "jpg")] == (source / f"{key}.jpg").read_bytes()
        for key, name in stored.items()
    }
    assert kept == {"a": True, "b": True, "c": False, "d": False, "e": True, "f": False}
    for item in open_source(tmp_path / "out"):
        assert min(item.image.size) == 20
        assert item.image.size == (item.info["width"], item.info["height"])


def test_what_is_written_anew_takes_nothing_along(tmp_path, fakes):
    source = folder_of(
        tmp_path / "source",
        {"a.jpg": jpeg(grey(80, 60, 60), comment=b"a comment", icc_profile=b"p" * 5000)},
    )
    options = {"rules": Rules(20), "annotators": [f"{fakes}:Halves"], "progress": False}
    with pytest.warns(UserWarning, match="a colour profile of 5000 bytes that cannot be read"):
        prepare(source, tmp_path / "out", **options)
    assert len(members(tmp_path / "out")["0000000000.jpg"]) < 1000


def test_pictures_that_cannot_be_used_are_rejects(tmp_path, fakes):
    files = {
        "bright.jpg": jpeg(grey(255)),
        "cut.jpg": jpeg(grey(10))[:-100],
        "empty.jpg": b"",
        "good.jpg": jpeg(grey(10)),
        "long.jpg": jpeg(grey(10, 1, 6000)),
        "pixel.jpg": jpeg(grey(10, 1, 1)),
        "two.jpg": jpeg(grey(10)),
        "two.png": b"another",
        "z\ttab.jpg": b"x",
    }
    prepare(
        folder_of(tmp_path / "source", files),
        tmp_path / "out",
        rules=Rules(11),
        annotators=[f"{fakes}:Halves", f"{fakes}:Arms"],
        per_shard=5,
        progress=False,
    )
    found = rejects(tmp_path / "out")
    assert [(shard, key) for shard, key, _ in found] == [
        ("00000.tar", "bright"),
        ("00000.tar", "cut"),
        ("00000.tar", "empty"),
        ("00000.tar", "long"),
        ("00001.tar", "two"),
        ("00001.tar", "z tab"),
    ]
    reasons = [reason for _, _, reason in found]
    assert reasons[0] == "found a picture that is too bright"
    assert "the longer one would be 66000, expected at most 65500" in reasons[3]
    assert "found jpg and png" in reasons[4]
    good = list(open_source(tmp_path / "out"))
    assert [(item.key, item.info["source"]["key"]) for item in good] == [
        ("0000000003", "good"),
        ("0000100000", "pixel"),
    ]
    # The neighbour of a picture that an annotator refuses is what it would be without it.
    alone = folder_of(tmp_path / "alone", {"good.jpg": files["good.jpg"]})
    prepare(
        alone,
        tmp_path / "out2",
        rules=Rules(11),
        annotators=[f"{fakes}:Halves", f"{fakes}:Arms"],
        progress=False,
    )
    assert next(iter(open_source(tmp_path / "out2"))).scene == good[0].scene


def test_without_annotations_or_annotators_all_are_rejects(tmp_path):
    source = folder_of(tmp_path / "source", {"a.jpg": jpeg(grey(10))})
    manifest = prepare(source, tmp_path / "out", progress=False)
    assert manifest["shards"][0]["samples"] == 0
    assert (
        "found no annotation, expected one beside the image, or an annotator"
        in (rejects(tmp_path / "out")[0][2])
    )


def test_scene_shards_can_be_prepared_again(tmp_path, fakes):
    source = folder_of(tmp_path / "source", {f"{n}.jpg": jpeg(grey(10 * n)) for n in range(5)})
    prepare(
        source,
        tmp_path / "one",
        rules=Rules(20),
        annotators=[f"{fakes}:Halves"],
        per_shard=2,
        progress=False,
    )
    prepare(tmp_path / "one", tmp_path / "two", rules=Rules(10, "mas159"), progress=False)
    assert len(read_manifest(tmp_path / "two", SCENES)["shards"]) == 3
    for before, after in zip(
        open_source(tmp_path / "one"), open_source(tmp_path / "two"), strict=True
    ):
        assert after.scene == before.scene.resize(10, 15).to("mas159")
        assert after.info["source"]["key"] == before.key
    cars = [json.loads((tmp_path / name / "00000.json").read_text()) for name in ("one", "two")]
    assert [car["statistics"]["persons"] for car in cars] == [2, 2]
    shard = tmp_path / "one" / "00001.tar"
    content = shard.read_bytes()
    shard.write_bytes(content.replace(b"\xff\xd8\xff", b"\xff\xd8\xfe", 1))
    with pytest.raises(ValueError, match="00001.tar: found sha256 .*, as its manifest says"):
        prepare(tmp_path / "one", tmp_path / "three", rules=Rules(10), progress=False)


# ---------------------------------------------------------------------------- the source


def test_unfit_arguments(tmp_path):
    for arguments, message in (
        ({"size": 0}, "size: found 0"),
        ({"layout": "mini"}, "layout: found 'mini'"),
        ({"min_person_px": 0}, "min_person_px: found 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Rules(**arguments)
    with pytest.raises(ValueError, match="found no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="annotator: found 'x', expected detectron2, .*CLASS"):
        prepare(tmp_path / "in", tmp_path / "out", annotators=["x"])
    with pytest.raises(ValueError, match="per_shard: found 0"):
        prepare(tmp_path / "in", tmp_path / "out", per_shard=0)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------- the real set


@pytest.fixture(scope="module")
def whole(coco, tmp_path_factory) -> Path:
    """All of the COCO set, by one worker."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(coco, folder, per_shard=3, progress=False)
    return folder


def test_the_real_set(coco, whole):
    source = {item.key: item for item in open_source(coco) if not isinstance(item, Reject)}
    stored = list(open_source(whole))
    lost = {key for _, key, _ in rejects(whole)}
    assert {item.info["source"]["key"] for item in stored} | lost >= set(source)
    assert len(stored) == len(source) == 20
    for item in stored:
        before = source[item.info["source"]["key"]]
        assert min(item.image.size) == 256
        assert item.captions == before.captions
        assert item.info["source"]["image_id"] == before.info["image_id"]
        height, width = item.image.height, item.image.width
        assert item.scene == before.layers.resize(height, width).clean()
        close = np.abs(
            np.asarray(item.image, int) - np.asarray(before.image.resize((width, height), 3), int)
        )
        assert close.mean() < 4


def test_a_stored_sample_is_small(whole):
    for tar in whole.glob("*.tar"):
        used, jpegs = {}, {}
        with tarfile.open(tar) as file:
            for member in file:
                key, _, suffix = member.name.partition(".")
                used[key] = used.get(key, 0) + 512 + -(-member.size // 512) * 512
                if suffix == "jpg":
                    jpegs[key] = member.size
        assert jpegs
        assert all(used[key] - size <= 15_000 for key, size in jpegs.items())


@pytest.mark.parametrize(
    "way",
    [
        {"workers": 2},
        pytest.param({"workers": 2, "ray": "local"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_same_bytes_whoever_makes_them(tmp_path, coco, whole, way):
    if "ray" in way:
        pytest.importorskip("ray", reason="Ray is not installed")
    prepare(coco, tmp_path / "out", per_shard=3, progress=False, **way)
    assert content(tmp_path / "out") == content(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_and_continued(tmp_path, coco, whole, workers):
    out = tmp_path / "out"
    # At the eighth picture: two workers have finished at least one shard by then, at most six.
    code = (
        "import os, signal\n"
        "from mas_fast.data import prepare, workers\n"
        "tick = workers.Progress.tick\n"
        "def fatal(bar, *message):\n"
        "    tick(bar, *message)\n"
        "    if bar.seen >= 8:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "workers.Progress.tick = fatal\n"
        f"prepare.prepare({str(coco)!r}, {str(out)!r}, per_shard=3, workers={workers})"
    )
    run = subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, timeout=120)
    assert run.returncode == -signal.SIGKILL
    finished = {file.name: file.stat().st_mtime_ns for file in out.glob("0*.json")}
    assert finished
    assert workers == 2 or "00000.json" in finished
    assert len(list(out.glob("*.tar"))) < 7
    with pytest.raises(ValueError, match="has not come to its end"):
        read_manifest(out, SCENES)
    prepare(coco, out, per_shard=3, progress=False)
    assert content(out) == content(whole)
    assert not list(out.glob(".*.tmp"))
    for name, when in finished.items():
        assert (out / name).stat().st_mtime_ns == when  # not made again


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    for n in range(4):
        write_tar(tmp_path / "tars" / f"{n}.tar", [f"{n}-{i}" for i in range(3)])
    real, written = tarfile.TarFile.addfile, []

    def addfile(self, *arguments):
        written.append(arguments)
        if len(written) == 20:
            raise OSError(28, "No space left on device", "the disk")
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "addfile", addfile)
        with pytest.raises(OSError, match=r"No space left on device \(3 shards are left"):
            prepare(tmp_path / "tars", tmp_path / "out", rules=Rules(8), progress=False)
    assert sorted(f.name for f in (tmp_path / "out").glob("0*")) == ["00000.json", "00000.tar"]
    assert not list((tmp_path / "out").glob(".*.tmp"))
    for name in ("out", "whole"):
        prepare(tmp_path / "tars", tmp_path / name, rules=Rules(8), progress=False)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    keys = [item.info["source"]["key"] for item in open_source(tmp_path / "out")]
    assert keys == [f"{n}-{i}" for n in range(4) for i in range(3)]
