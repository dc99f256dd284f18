"""data/annotators/transformers.py: against what the real library gave (see
tests/record/record_transformers.py), and live with tiny random models where it is installed."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from mas_fast.data.annotators import make  # noqa: E402
from mas_fast.data.annotators.transformers import Transformers, coco_labels_by_name  # noqa: E402
from mas_fast.scene import COCO_IDS, COCO_NAMES, VOID, Layers  # noqa: E402

TESTS = Path(__file__).parents[2]
picture = runpy.run_path(str(TESTS / "record" / "weights.py"))["picture"]
TINY = runpy.run_path(str(TESTS / "record" / "tiny_transformers.py"))
FACTS = json.loads((TESTS / "fixtures" / "transformers.json").read_text())
MODELS = ("mask2former", "maskformer", "detr", "oneformer")
SIZES = ((60, 80), (80, 60), (60, 80), (24, 90))  # as recorded
IMAGES = [picture(*size, n) for n, size in enumerate(SIZES)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def arrays():
    with np.load(TESTS / "fixtures" / "transformers.npz") as arrays:
        return dict(arrays)


class Replay(torch.nn.Module):
    """A model that hands on what it is given."""

    def __init__(self, id2label: dict, model_type: str = "mask2former") -> None:
        super().__init__()
        self.config = SimpleNamespace(id2label=id2label, model_type=model_type)
        self.device, self.batches = torch.device("cpu"), []

    def forward(self, pixel_values):
        self.batches.append(len(pixel_values))
        return pixel_values


class Processor:
    """Gives what the real one gave for the picture."""

    do_rescale, rescale_factor, do_normalize, image_mean, image_std = True, 1 / 255, True, MEAN, STD
    order = slice(None)

    def __init__(self, name: str, arrays) -> None:
        self.name, self.arrays = name, arrays

    def __call__(self, images, return_tensors):
        assert return_tensors == "pt"
        assert all(image.mode == "RGB" for image in images)
        pixels = np.stack([np.asarray(image, np.float32)[:, :, self.order] for image in images])
        pixels = (pixels / 255 - MEAN) / STD
        return Inputs(pixel_values=torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2))

    def post_process_panoptic_segmentation(self, outputs, label_ids_to_fuse, target_sizes):
        assert label_ids_to_fuse == set()
        return [self.answer(one, *size) for one, size in zip(outputs, target_sizes, strict=True)]

    def answer(self, pixels, height, width):
        shown = pixels.permute(1, 2, 0).numpy() * STD + MEAN
        shown = np.round(255 * shown).astype(np.uint8)
        assert shown.shape[:2] == (height, width)
        (n,) = (n for n, image in enumerate(IMAGES) if np.array_equal(shown, image))
        segments = FACTS[self.name]["segments_info"][n]
        segmentation = torch.from_numpy(self.arrays[f"{self.name}_{n}"])
        return {"segmentation": segmentation, "segments_info": segments}


class Inputs(dict):
    def to(self, device):
        return self


def names(name: str) -> dict[int, str]:
    return {int(i): text for i, text in FACTS[name]["id2label"].items()}


@pytest.mark.parametrize("name", MODELS)
def test_layers_of_recorded_answers(name, arrays):
    model = Replay(names(name))  # of type mask2former: OneFormer's task and torchvision are live
    annotate = Transformers(model, Processor(name, arrays))
    found = annotate(IMAGES, [None] * len(IMAGES))
    assert model.batches == [2, 1, 1]
    order = list(COCO_IDS) if name == "detr" else list(range(133))
    for n, layers in enumerate(found):
        ids = arrays[f"{name}_{n}"]
        expected = np.full(ids.shape, VOID, np.uint8)
        for segment in FACTS[name]["segments_info"][n]:
            expected[ids == segment["id"]] = order.index(segment["label_id"])
        assert np.array_equal(layers.panoptic, expected)
        assert ((layers.instances == 0) == (expected == VOID)).all()
        key = np.where(expected < 80, ids.astype(int), 1000 + expected.astype(int)) * (
            expected != VOID
        )
        pairs = set(zip(layers.instances.flat, key.flat, strict=True))
        assert len(pairs) == len(set(layers.instances.flat)) == len(set(key.flat))
        layers.clean()


def test_recordings_have_what_is_tested(arrays):
    """Void, two instances of a thing, two segments of one stuff class."""
    segments = [s for name in MODELS for s in FACTS[name]["segments_info"]]
    classes = [[segment["label_id"] for segment in one] for one in segments]
    assert any(len(set(one)) < len(one) and one[0] < 80 for one in classes)
    assert [100, 100] in classes
    assert (arrays["mask2former_0"] == 0).any()


def test_other_layers_stay_and_nothing_found_is_void(arrays):
    class Nothing(Processor):
        def answer(self, pixels, height, width):  # as the library says so: -1, in fp32
            return {"segmentation": torch.zeros(height, width) - 1, "segments_info": []}

    known = Layers(np.zeros((60, 80), np.uint8), human=np.ones((60, 80), np.uint8))
    annotate = Transformers(Replay(names("detr")), Nothing("detr", arrays))
    (found,) = annotate(IMAGES[:1], [known])
    assert (found.panoptic == VOID).all()
    assert not found.instances.any()
    assert found.human is known.human


def test_a_placeholder_is_void(arrays):
    class Unnamed(Processor):
        def answer(self, pixels, height, width):
            segments = [{"id": 1, "label_id": 12}, {"id": 2, "label_id": 13}]  # DETR's 12: none
            ids = torch.arange(height * width).view(height, width) % 3
            return {"segmentation": ids, "segments_info": segments}

    (found,) = Transformers(Replay(names("detr")), Unnamed("detr", arrays))(IMAGES[:1], [None])
    stop_sign = COCO_NAMES.index("stop sign")
    assert found.panoptic.flat[:3].tolist() == [VOID, VOID, stop_sign]


def test_names_however_they_are_spelled():
    plain = [n.replace("-merged", "").replace("-other", "").title() for n in COCO_NAMES]
    spaced = [n.replace("-", " ").replace(" ", "_").upper() for n in COCO_NAMES]
    for spelled in (COCO_NAMES, plain, spaced):
        labels = coco_labels_by_name(dict(enumerate(spelled)))
        assert labels == {i: i for i in range(133)}
    detr = TINY["id2label"]("detr", COCO_IDS, COCO_NAMES)
    assert coco_labels_by_name(detr) == {number: i for i, number in enumerate(COCO_IDS)}
    with pytest.raises(ValueError, match=r"found \['lift', 'lamp'\] \(2 of 3 names\)") as error:
        coco_labels_by_name({0: "person", 1: "lift", 2: "lamp"} | {3: "LABEL_3"})
    assert "COCO's 133" in str(error.value)
    with pytest.raises(ValueError, match="found no 'person' among 1 names"):
        coco_labels_by_name({0: "cat"})


def test_channel_order_is_proved(arrays):
    class Swapped(Processor):
        order = slice(None, None, -1)

    with pytest.raises(ValueError, match=r"expected \[230, 128, 26\]: RGB"):
        Transformers(Replay(names("detr")), Swapped("detr", arrays))

    class Bgr(Processor):
        image_mean, image_std = MEAN[::-1], STD[::-1]

    with pytest.raises(ValueError, match="the channel order RGB with the mean"):
        Transformers(Replay(names("detr")), Bgr("detr", arrays))


# ---------------------------------------------------------------------- live


@pytest.fixture(scope="module")
def torchvision() -> bool:
    """Whether it imports, be it by the recording's help. Our folder kernels is hidden: transformers
    would take it for the package of that name."""
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != TESTS.parent]
    try:
        runpy.run_path(str(TESTS / "record" / "torchvision_ops.py"))["load"]()
    except ImportError:
        return False
    return True


def by_the_library(name: str, model, processor, image: np.ndarray) -> np.ndarray:
    """The labels of one picture by the library's own post-processing."""
    images = getattr(processor, "image_processor", processor)
    tasks = {"task_inputs": ["panoptic"]} if name == "oneformer" else {}
    inputs = processor(images=Image.fromarray(image), return_tensors="pt", **tasks)
    with torch.no_grad():
        outputs = model(**inputs)
    (found,) = images.post_process_panoptic_segmentation(
        outputs, label_ids_to_fuse=set(), target_sizes=[image.shape[:2]]
    )
    labels = np.full(image.shape[:2], VOID, np.uint8)
    for segment in found["segments_info"]:
        number = segment["label_id"]
        inside = found["segmentation"].numpy() == segment["id"]
        if name != "detr":
            labels[inside] = number
        elif number in COCO_IDS:
            labels[inside] = COCO_IDS.index(number)
    return labels


@pytest.mark.parametrize("name", MODELS)
def test_live(name, torchvision, tmp_path):
    pytest.importorskip("transformers")
    if name == "oneformer" and not torchvision:
        pytest.skip("torchvision does not import here, which OneFormer's post-processing needs")
    model, processor = TINY["make"](name, TINY["id2label"](name, COCO_IDS, COCO_NAMES))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    annotate = make("transformers", model=tmp_path, batch_size=2)
    together = annotate(IMAGES, [None] * len(IMAGES))
    seen = set()
    for n, (image, layers) in enumerate(zip(IMAGES, together, strict=True)):
        (alone,) = annotate([image], [None])
        assert (layers.panoptic == alone.panoptic).mean() > 0.999
        assert np.array_equal(alone.panoptic, by_the_library(name, model, processor, image))
        assert layers.panoptic.shape == SIZES[n]
        seen |= set(layers.panoptic.flat)
    assert len(seen) > 1


def test_oneformer_without_torchvision_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    model = Replay(names("oneformer"), "oneformer")
    with pytest.raises(ValueError, match="torchvision does not import here .* pip install torchv"):
        Transformers(model, Processor("oneformer", {}))


def test_live_missing_model_is_explained(torchvision, tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match=r"none: found no panoptic model that loads: .*Expected"):
        make("transformers", model=tmp_path / "none")


def test_absence_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="transformers does not import here .*pip install 'tran"):
        make("transformers", model="x")
