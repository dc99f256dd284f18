"""data/annotators/face.py: the drawing on real landmarks, and the library's two networks."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mas_fast.data.annotators import make
from mas_fast.data.annotators.face import Face, face_parts
from mas_fast.data.annotators.truth import read_dlib, read_wholebody
from mas_fast.scene import FACE_NAMES, PERSON, Layers

TESTS = Path(__file__).parents[2]
picture = runpy.run_path(str(TESTS / "record" / "weights.py"))["picture"]


def drawn_face(center=(100, 100), size=100.0) -> np.ndarray:
    """float64 [68, 2]: a symmetric face."""

    def arc(n, x, y, rx, ry, start, end):
        t = np.radians(np.linspace(start, end, n))
        return np.stack([x + rx * np.cos(t), y - ry * np.sin(t)], 1)

    points = [
        arc(17, 0, -0.1, 0.5, 0.6, 180, 360),
        arc(5, -0.22, -0.22, 0.12, 0.06, 180, 0),
        arc(5, 0.22, -0.22, 0.12, 0.06, 180, 0),
        np.stack([np.zeros(4), np.linspace(-0.12, 0.1, 4)], 1),
        arc(5, 0, 0.14, 0.08, 0.03, 180, 360),
        arc(7, -0.2, -0.12, 0.07, 0.03, 180, -180)[:6],
        arc(7, 0.2, -0.12, 0.07, 0.03, 180, -180)[:6],
        arc(13, 0, 0.3, 0.2, 0.1, 180, -180)[:12],
        arc(9, 0, 0.3, 0.14, 0.05, 180, -180)[:8],
    ]
    return np.concatenate(points) * size + np.array(center)


def test_parts_are_where_they_belong():
    face = drawn_face()
    parts = face_parts(face[None], 200, 200)
    assert parts.shape == (200, 200)
    assert parts.dtype == np.uint8
    assert set(parts.flat) == {0, *range(1, len(FACE_NAMES) + 1)}
    for part, points in (
        (1, range(17, 27)),
        (2, range(36, 48)),
        (3, range(27, 36)),
        (4, range(48, 60)),
        (5, range(60, 68)),
    ):
        for x, y in np.floor(face[list(points)] + 0.5).astype(int):
            assert parts[y, x] == part
    for x, y, part in ((100, 130, 5), (100, 122, 4), (78, 88, 2), (122, 88, 2), (100, 112, 3)):
        assert parts[y, x] == part
    jaw = np.floor(face[:17] + 0.5).astype(int)
    assert not parts[jaw[:, 1], jaw[:, 0]].any()


def test_no_chord_from_nostril_to_brow_and_none_at_the_jaw():
    parts = face_parts(drawn_face()[None], 200, 200)
    bridge = parts[90:104] == 3  # rows above the tip: the line alone
    assert (bridge.sum(1) <= 3).all()
    assert bridge.any(1).all()
    assert not parts[:, :60].any()
    assert not parts[:, 141:].any()
    assert not parts[145:].any()


def test_parts_are_as_large_as_their_polygons():
    """And half a pixel more on every side, since the landmarks' own pixels belong to them; the
    bridge is as wide as it says."""
    for size in (60, 240, 960):
        face = np.floor(drawn_face((600, 600), size) + 0.5)
        parts = face_parts(face[None], 1200, 1200)
        for part, *polygons in (
            (1, range(17, 22), range(22, 27)),
            (2, range(36, 42), range(42, 48)),
        ):
            area = rim = 0.0
            for points in polygons:
                x, y = face[list(points)].T
                area += abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
                rim += np.hypot(x - np.roll(x, -1), y - np.roll(y, -1)).sum()
            assert area < (parts == part).sum() < area + 0.55 * rim + 4
        bridge = (parts[: int(face[30, 1]) - 1] == 3).sum()
        length, between = face[30, 1] - face[27, 1], face[45, 0] - face[36, 0]
        assert bridge == pytest.approx(length * max(1, round(0.05 * between)), rel=0.12)


def test_bridge_grows_with_the_face():
    widths = []
    for size in (40, 500):
        parts = face_parts(drawn_face((300, 300), size)[None], 600, 600)
        widths.append((parts[300 - size // 20] == 3).sum())
    assert widths[0] == 1
    assert 12 <= widths[1] <= 15


def test_later_faces_lie_over_earlier_ones_and_any_number_is_drawn():
    one, two = drawn_face((60, 60), 80.0), drawn_face((70, 66), 80.0)
    both = face_parts(np.stack([one, two]), 140, 140)
    first, second = face_parts(one[None], 140, 140), face_parts(two[None], 140, 140)
    assert np.array_equal(both, np.where(second > 0, second, first))
    assert not face_parts(np.zeros((0, 68, 2)), 20, 30).any()


def test_points_outside_and_tiny_pictures():
    face = drawn_face((0, 0))
    parts = face_parts(face[None], 50, 60)
    whole = face_parts(face[None] + 200, 400, 400)
    assert parts.shape == (50, 60)
    assert np.array_equal(parts, whole[200:250, 200:260])
    assert face_parts(face[None], 1, 1).shape == (1, 1)
    assert face_parts(np.full((1, 68, 2), 3.0), 8, 8)[3, 3] == 5  # a face of one pixel


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.zeros((68, 2)), r"found \[68, 2\], expected \[n, 68, 2\]"),
        (np.zeros((2, 5, 2)), r"found \[2, 5, 2\]"),
        (np.full((1, 68, 2), np.nan), "found NaN or values beyond"),
        (np.full((1, 68, 2), 1e9), "found NaN or values beyond"),
    ],
)
def test_unfit_landmarks(landmarks, message):
    with pytest.raises(ValueError, match=message):
        face_parts(landmarks, 10, 10)


def test_real_faces(real_data):
    """43 faces of dlib's and 4 valid ones of COCO-WholeBody: every part of a face that is large
    enough, each within the hull of its own points."""
    folder = real_data("faces")
    files = [folder / "dlib68" / f"{n}_with_face_landmarks.xml" for n in ("testing", "training")]
    testing, training = map(read_dlib, files)
    assert [len(f) for f in testing.values()] == [6, 3, 7, 7, 2]
    assert testing["2008_002470.jpg"][0, :2].tolist() == [[277, 194], [278, 200]]
    faces = [*testing.values(), *training.values()]
    assert sum(map(len, faces)) == 43
    wholebody = read_wholebody(folder / "coco_wholebody" / "test_coco_wholebody.json")
    assert {name: len(f) for name, f in wholebody.items()} == {
        "000000000785.jpg": 1,
        "000000040083.jpg": 2,
        "000000196141.jpg": 0,
        "000000197388.jpg": 1,
    }
    assert np.allclose(wholebody["000000000785.jpg"][0, 0], [355.823, 75.36])
    faces += wholebody.values()
    groups = ((1, 17, 27), (2, 36, 48), (3, 27, 36), (4, 48, 60), (5, 60, 68))
    for face in np.concatenate(faces):
        parts = face_parts(face[None], 600, 700)
        size = np.ptp(face, axis=0).max()
        assert 0 < (parts > 0).sum() < size**2
        for part, start, stop in groups:
            rows, columns = np.nonzero(parts == part)
            if part in (2, 4) and len(rows) == 0:  # a closed mouth, an eye under a brow
                assert size < 25
                continue
            low, high = face[start:stop].min(0) - 2, face[start:stop].max(0) + 2
            assert low[0] <= columns.min()
            assert columns.max() <= high[0]
            assert low[1] <= rows.min()
            assert rows.max() <= high[1]


# ---------------------------------------------------------------------- networks


class Aligner:
    """Its networks see what the library's see; a face of one size wherever a picture has a red
    pixel, given as get_landmarks_from_batch gives them: [68 n, 2], or an empty list."""

    def __init__(self, detector_order=-3, landmark_order=slice(None)) -> None:
        import torch

        self.face_alignment_net = torch.nn.Identity()
        self.face_detector = type("Detector", (), {"face_detector": torch.nn.Identity()})()
        self.detector_order, self.landmark_order, self.seen = detector_order, landmark_order, []

    def get_landmarks_from_batch(self, batch):
        import torch

        assert batch.dtype == torch.uint8
        pixels = batch.float().flip(self.detector_order) if self.detector_order else batch.float()
        self.face_detector.face_detector(pixels - torch.tensor([104.0, 117, 123]).view(3, 1, 1))
        self.seen.append(len(batch))
        found = []
        for image in batch.permute(0, 2, 3, 1).numpy():
            rows, columns = np.nonzero((image == (255, 0, 0)).all(2))
            faces = [drawn_face((x, y), 30.0) for y, x in zip(rows, columns, strict=True)]
            found.append(np.concatenate(faces) if faces else [])
        return found

    def get_landmarks_from_image(self, image, detected_faces):
        import torch

        ordered = np.ascontiguousarray(image[:, :, self.landmark_order])
        crop = torch.from_numpy(ordered).permute(2, 0, 1)[None] / 255
        self.face_alignment_net(crop)


def test_faces_of_a_batch():
    pytest.importorskip("torch")
    images = [np.zeros((80, 120, 3), np.uint8) for _ in range(3)] + [
        np.zeros((60, 60, 3), np.uint8)
    ]
    images[0][30, 30] = images[0][40, 90] = images[2][40, 40] = (255, 0, 0)
    layers = [Layers(np.full(i.shape[:2], PERSON, np.uint8)) for i in images]
    nobody = Layers(np.ones((80, 120), np.uint8))
    aligner = Aligner()
    annotate = Face(aligner)
    aligner.seen.clear()
    found = annotate([*images, images[0]], [*layers, nobody])
    assert aligner.seen == [3, 1]  # by size, without the picture that has no people
    two = face_parts(np.stack([drawn_face((30, 30), 30.0), drawn_face((90, 40), 30.0)]), 80, 120)
    assert np.array_equal(found[0].face, two)
    assert not found[1].face.any()
    assert not found[3].face.any()
    assert not found[4].face.any()
    assert found[2].face.any()
    assert found[2].panoptic is layers[2].panoptic
    with pytest.raises(ValueError, match="image 0: found no layers"):
        annotate(images[:1], [None])


def test_channel_order_is_proved():
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"face: detector: .* expected \[26, 128, 230\]: BGR"):
        Face(Aligner(detector_order=None))
    with pytest.raises(ValueError, match=r"face: landmarks: .* expected \[230, 128, 26\]: RGB"):
        Face(Aligner(landmark_order=slice(None, None, -1)))


def test_absence_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(ValueError, match="face_alignment does not import here .*pip install 'face"):
        make("face")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Random weights where torch.hub keeps the library's downloads."""
    pytest.importorskip("face_alignment")
    import torch
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd import sfd_detector
    from face_alignment.models import FAN

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    files = {
        models_urls["2DFAN-4"]: FAN(4),
        sfd_detector.models_urls["s3fd"]: sfd_detector.s3fd(),
    }
    for url, network in files.items():
        torch.save(network.state_dict(), folder / url.rsplit("/", 1)[1])
    return folder


@pytest.mark.slow
def test_live(weights):
    """The library itself: where the detector is told what it found, landmarks come out, drawn."""
    from face_alignment.models import FAN

    annotate = make("face", batch_size=2)
    annotate.aligner.face_alignment_net = FAN(1).eval()  # of FAN(4), a face takes 10 s
    annotate.aligner.flip_input = False
    image = picture(90, 110, 0)
    layers = Layers(np.full((90, 110), PERSON, np.uint8))
    boxes = [np.array([20.0, 20, 70, 70, 1]), np.array([50.0, 10, 100, 60, 1])]
    detector = annotate.aligner.face_detector
    detector.detect_from_batch = lambda batch: [boxes, [], boxes[:1]][: len(batch)]
    found = annotate([image, image], [layers, layers])
    (pair,) = [annotate.aligner.get_landmarks_from_image(image, detected_faces=boxes)]
    assert np.array_equal(found[0].face, face_parts(np.stack(pair), 90, 110))
    assert found[0].face.any()
    assert not found[1].face.any()


@pytest.mark.slow
def test_live_missing_weights_are_explained(weights, monkeypatch):
    import urllib.error
    import urllib.request

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    for file in weights.iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"found no weights .*2DFAN4.*s3fd.*checkpoints"):
        make("face")
