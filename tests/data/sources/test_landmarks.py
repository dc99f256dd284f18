"""data/sources/landmarks.py: readers of annotated faces, and how they reach prepared scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.annotators.face import face_parts
from mas_fast.data.prepare import prepare
from mas_fast.data.sources.base import Reject
from mas_fast.data.sources.landmarks import WFLW_ORDER, Landmarks, LandmarkSource
from mas_fast.data.sources.open import open_source
from mas_fast.scene import MINI158, PERSON, VOID

EYES = MINI158.face + 2


def face() -> np.ndarray:
    """68 points whose parts lie apart, within 64 x 64 pixels, to three places."""
    points = np.zeros((68, 2))
    circle = np.linspace(0, 2 * np.pi, 13)[:-1]
    points[:17] = np.stack([np.linspace(8, 56, 17), 40 + 16 * np.sin(np.linspace(0, np.pi, 17))], 1)
    for start, x in ((17, 16), (22, 40)):
        points[start : start + 5] = np.stack([x + np.arange(5) * 2, 14 - np.arange(5) % 2], 1)
    points[27:31] = np.stack([np.full(4, 32), np.arange(20, 32, 3)], 1)
    points[31:36] = np.stack([28 + 2 * np.arange(5), np.full(5, 34)], 1)
    for start, x in ((36, 20), (42, 44)):
        points[start : start + 6] = np.stack(
            [x + 5 * np.cos(circle[::2]), 22 + 3 * np.sin(circle[::2])], 1
        )
    points[48:60] = np.stack([32 + 10 * np.cos(circle), 46 + 5 * np.sin(circle)], 1)
    points[60:68] = np.stack([32 + 6 * np.cos(circle[:8]), 46 + 2 * np.sin(circle[:8])], 1)
    return points.round(3)


def write_pts(file: Path, points: np.ndarray) -> None:
    """As 300-W has it, counted from 1."""
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points + 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n")


def write_dlib(file: Path, names: list[str]) -> None:
    parts = "".join(f"<part name='{n:02}' x='{x}' y='{y}'/>" for n, (x, y) in enumerate(face()))
    images = "".join(f"<image file='{name}'><box>{parts}</box></image>" for name in names)
    file.write_text(f"<?xml version='1.0'?><dataset><images>{images}</images></dataset>")


def wholebody(points: list) -> str:
    person = {"image_id": 1, "face_valid": True, "face_kpts": points}
    images = [{"id": 1, "file_name": "a.jpg"}]
    return json.dumps({"images": images, "annotations": [person]})


def write_wholebody(file: Path, names: list[str]) -> None:
    points = np.concatenate([face(), np.ones((68, 1))], 1).ravel().tolist()
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    people = [{"image_id": n, "face_valid": True, "face_kpts": points} for n in range(len(names))]
    file.write_text(json.dumps({"images": images, "annotations": people}))


def write_wflw(file: Path, names: list[str]) -> None:
    points = np.full((98, 2), 1.5)
    points[list(WFLW_ORDER)] = face()
    numbers = " ".join(f"{value:.6f}" for value in points.ravel())
    file.write_text("".join(f"{numbers} 8 8 56 56 0 0 0 0 1 0 {name}\n" for name in names))


WRITERS = {"dlib": write_dlib, "wholebody": write_wholebody, "wflw": write_wflw, "pts": None}


def write(folder: Path, kind: str) -> Path:
    """Photos one/a.jpg and b.jpg, the landmarks of the former; where those are."""
    (folder / "one").mkdir(parents=True)
    for name in ("one/a", "b"):
        Image.new("RGB", (64, 64), (90, 120, 30)).save(folder / f"{name}.jpg")
    if kind == "pts":
        write_pts(folder / "one" / "a.pts", face())
        return folder
    WRITERS[kind](folder.with_name("faces"), ["one/a.jpg"])
    return folder.with_name("faces")


@pytest.mark.parametrize("kind", WRITERS)
def test_formats(tmp_path, kind):
    landmarks = Landmarks.read(write(tmp_path / "photos", kind))
    (found,) = landmarks.faces.values()
    assert list(landmarks.faces) == ["one/a"]
    assert found.shape == (1, 68, 2)
    assert np.abs(found[0] - face()).max() < 1e-5
    items = {item.key: item for item in LandmarkSource(open_source(tmp_path / "photos"), landmarks)}
    first = items["one/a"]
    assert items["b"].annotation is None
    parts = face_parts(found, 64, 64)
    assert (first.layers.face == parts).all()
    assert len(np.unique(parts)) == 6
    assert (first.layers.panoptic == np.where(parts > 0, PERSON, VOID)).all()


@pytest.mark.parametrize("kind", WRITERS)
def test_prepared(tmp_path, kind):
    file = write(tmp_path / "photos", kind)
    (tmp_path / "photos" / "b.jpg").unlink()
    manifest = prepare(tmp_path / "photos", tmp_path / "o", landmarks=file, progress=False)
    assert manifest["shards"][0]["samples"] == 1
    assert len(manifest["options"]["landmarks"]) == 64
    (sample,) = open_source(tmp_path / "o")
    assert sample.image.size == (256, 256)
    eyes = sample.scene.labels == EYES
    share = (face_parts(face()[None], 64, 64) == 2).mean()
    assert eyes[88, 80]
    assert eyes[88, 176]
    assert abs(eyes.mean() - share) < 0.01
    with pytest.raises(ValueError, match="landmarks"):  # without them it is another run
        prepare(tmp_path / "photos", tmp_path / "o", progress=False)


def test_tars_of_pictures(tmp_path):
    import tarfile

    write(tmp_path / "photos", "pts")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "photos" / "one" / "a.jpg", "a.jpg")
    prepare(tmp_path / "a.tar", tmp_path / "o", landmarks=tmp_path / "photos", progress=False)
    (sample,) = open_source(tmp_path / "o")
    assert (sample.scene.labels == EYES).any()


def test_names_that_meet(tmp_path):
    one = face()[None]
    landmarks = Landmarks(tmp_path, {"train/x/a": one, "train/y/a": one, "b": one})
    for key, found in (("x/a", True), ("a", False), ("any/b", True), ("b", True), ("c", False)):
        assert (landmarks.of(key) is not None) == found
    write(tmp_path / "photos", "pts")
    other = Landmarks(tmp_path, {"c": one})
    with pytest.raises(
        ValueError, match="found faces of none of the . pictures: it names 'c', the"
    ):
        LandmarkSource.matched(open_source(tmp_path / "photos"), other)
    write_dlib(tmp_path / "other.xml", ["c.jpg"])
    with pytest.raises(ValueError, match="other.xml: found faces of none of the . pictures"):
        prepare(tmp_path / "photos", tmp_path / "o", landmarks=tmp_path / "other.xml")


def test_names_of_coco(tmp_path):
    """Its rejects have a name, too, and nothing to look for."""
    folder = tmp_path / "coco"
    (folder / "panoptic").mkdir(parents=True)
    (folder / "images").mkdir()
    Image.new("RGB", (64, 64)).save(folder / "images" / "a.jpg")
    Image.new("RGB", (64, 64), (1, 0, 0)).save(folder / "panoptic" / "a.png")
    rows = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [
            {
                "image_id": 1,
                "file_name": "a.png",
                "segments_info": [{"id": 1, "category_id": 1}],
            }
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "panoptic_val.json").write_text(json.dumps(rows))
    write_pts(tmp_path / "pts" / "a.pts", face())
    source = LandmarkSource.matched(open_source(folder), Landmarks.read(tmp_path / "pts"))
    first, second = source
    assert isinstance(second, Reject)
    assert (first.layers.panoptic == PERSON).all()
    assert (first.layers.face == face_parts(face()[None], 64, 64)).all()


def test_faces_of_another_size_are_rejected(tmp_path, scene):
    write(tmp_path / "photos", "pts")
    large = Landmarks(tmp_path, {"one/a": 16 * face()[None]})
    items = {item.key: item for item in LandmarkSource(open_source(tmp_path / "photos"), large)}
    assert isinstance(items["one/a"], Reject)
    assert "of another size?" in items["one/a"].reason
    for suffix, content in zip(("seg.png", "edge.png"), scene.to_pngs(), strict=True):
        (tmp_path / "photos" / "one" / f"a.{suffix}").write_bytes(content)
    Image.new("RGB", (32, 24)).save(tmp_path / "photos" / "one" / "a.jpg")
    fitting = Landmarks(tmp_path, {"one/a": face()[None] / 3})
    items = {item.key: item for item in LandmarkSource(open_source(tmp_path / "photos"), fitting)}
    assert "a scene that was cleaned before" in items["one/a"].reason


def test_what_is_wrong_is_named(tmp_path):
    file = tmp_path / "faces.txt"
    line = " ".join(["1"] * 206)
    for content, message in (
        ("", "faces.txt: found no faces, expected the XML of dlib's imglab"),
        ("hello", "faces.txt: line 1: found 1 fields, expected 207 as in WFLW"),
        (line + " ../a.jpg", "line 1: found the name '../a.jpg'"),
        (line.replace("1", "nan") + " a.jpg", "line 1: found 196 numbers, expected 196 finite"),
        (line.replace("1", "x") + " a.jpg", "line 1: could not convert"),
        ("<?xml version='1.0' encoding='none'?><dataset/>", "found no XML of dlib's imglab: "),
        (wholebody([10**400] * 204), "found no JSON of COCO-WholeBody: "),
        ("<dataset>", "found no XML of dlib's imglab: "),
        ("{}", "found no JSON of COCO-WholeBody: "),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=message):
            Landmarks.read(file)
    file.write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match="faces.txt: found bytes that are not UTF-8"):
        Landmarks.read(file)
    with pytest.raises(ValueError, match="none: found no such file or folder of landmarks"):
        Landmarks.read(tmp_path / "none")
    (tmp_path / "f").mkdir()
    with pytest.raises(ValueError, match="f: found no .pts"):
        Landmarks.read(tmp_path / "f")
    for text, message in (
        ("", "found no .pts of 300-W: "),
        ("n_points: 68\n{\n1 2\n}", "found 2 numbers, expected 136"),
        ("n_points: 98\n{\n1 2\n}", "found 98 points, expected 68"),
        ("n_points: 68\n{\n" + "1 x\n" * 68 + "}", "could not convert"),
        ("n_points:", "found no .pts of 300-W: "),
    ):
        (tmp_path / "f" / "a.pts").write_text(text)
        with pytest.raises(ValueError, match=f"f/a.pts: .*{message}"):
            Landmarks.read(tmp_path / "f")


def test_real_faces(real_data, tmp_path):
    folders = real_data("faces")
    for folder, file, count in (
        ("dlib68", "testing_with_face_landmarks.xml", 5),
        ("coco_wholebody", "test_coco_wholebody.json", 3),
    ):
        landmarks = Landmarks.read(folders / folder / file)
        source = LandmarkSource.matched(open_source(folders / folder), landmarks)
        faces = [item for item in source if getattr(item, "layers", None) is not None]
        assert len(faces) == count
        assert all((item.layers.face > 0).any() for item in faces)


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("photos", "faces"),
    [
        (["x/a.jpg", "y/a.jpg"], ["a"]),  # whose of the two?
        (["x/a.jpg", "a.jpg"], ["a"]),
        (["a.jpg"], ["x/a", "y/a"]),
    ],
)
def test_faces_that_may_be_anothers(tmp_path, photos, faces):
    folder = pictures(tmp_path / "photos", *photos)
    for name in faces:
        write_pts(tmp_path / "pts" / f"{name}.pts", face())
    with pytest.raises(ValueError, match="found names that fit in two ways .'(./)?a' for '(./)?a'"):
        prepare(folder, tmp_path / "o", landmarks=tmp_path / "pts", progress=False)


def test_faces_without_a_picture_are_counted(tmp_path):
    folder = pictures(tmp_path / "photos", "a.jpg")
    for name in "abc":
        write_pts(tmp_path / "pts" / f"{name}.pts", face())
    manifest = prepare(folder, tmp_path / "o", landmarks=tmp_path / "pts", progress=False)
    assert manifest["shards"][0]["samples"] == 1
    told = (tmp_path / "o" / "rejects.tsv").read_text()
    assert "found faces of 2 pictures that are not there, such as 'b'" in told


def test_names_meet_in_one_form_behind_links_and_other_suffixes(tmp_path):
    folder = pictures(tmp_path / "photos", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg")
    write_pts(tmp_path / "far" / "cafe\N{COMBINING ACUTE ACCENT}.PTS", face())
    (tmp_path / "pts").mkdir()
    (tmp_path / "pts" / "link").symlink_to(tmp_path / "far")
    source = LandmarkSource.matched(open_source(folder), Landmarks.read(tmp_path / "pts"))
    assert (source[0].layers.face > 0).any()
    assert len(source) == 1


def test_two_pictures_of_one_name(tmp_path):
    write_wflw(tmp_path / "list.txt", ["a.jpg", "a.png"])
    with pytest.raises(ValueError, match="list.txt: found two pictures 'a', expected other names"):
        Landmarks.read(tmp_path / "list.txt")
