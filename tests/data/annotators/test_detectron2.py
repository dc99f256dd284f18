"""data/annotators/detectron2.py: against what the real library gave (see
tests/record/record_detectron2.py), and live where it is installed."""

import io
import json
import pickle
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from mas_fast.data.annotators import make  # noqa: E402
from mas_fast.data.annotators.detectron2 import (  # noqa: E402
    Detectron2,
    metadata_form,
    panoptic_layers,
    read_config,
    read_weights,
    resized,
)
from mas_fast.scene import COCO_NAMES, VOID, Layers, read_coco_panoptic  # noqa: E402

TESTS = Path(__file__).parents[2]
RECORD = TESTS / "record"
picture = runpy.run_path(str(RECORD / "weights.py"))["picture"]
FACTS = json.loads((TESTS / "fixtures" / "detectron2.json").read_text())
SIZES = ((60, 80), (80, 60), (60, 80), (24, 90), (50, 50))  # as recorded
IMAGES = [picture(*size, n) for n, size in enumerate(SIZES)]
MODELS = {"fpn": "separated", "deeplab": "standard"}


@pytest.fixture(scope="module")
def arrays():
    with np.load(TESTS / "fixtures" / "detectron2.npz") as arrays:
        return dict(arrays)


class Replay(torch.nn.Module):
    """Answers as the real model answered, to what it was given."""

    def __init__(self, name: str, arrays) -> None:
        super().__init__()
        self.backbone, self.name, self.batches = torch.nn.Identity(), name, []
        for buffer in ("pixel_mean", "pixel_std"):
            self.register_buffer(buffer, torch.tensor(FACTS[name][buffer]).view(3, 1, 1))
        self.arrays = arrays

    def forward(self, inputs):
        for given in inputs:
            assert given["image"].dtype == torch.float32
            self.backbone((given["image"] - self.pixel_mean)[None] / self.pixel_std)
        self.batches.append(len(inputs))
        return [{"panoptic_seg": self.answer(**given)} for given in inputs]

    def answer(self, image, height, width):
        rows = FACTS[self.name]["pictures"]
        sample = image[:, ::4, ::4].numpy()
        for n, row in enumerate(rows):
            given = self.arrays[f"{self.name}_{n}_input"]
            if row["shape"] == list(image.shape[1:]) and np.abs(sample - given).max() <= 1:
                ids = self.arrays[f"{self.name}_{n}_ids"]
                assert ids.shape == (height, width)
                return torch.from_numpy(ids), row["segments_info"]
        raise AssertionError("the model was never given this in the recording")


def adapter(name: str, arrays, **options) -> Detectron2:
    facts = FACTS[name]
    options = {
        "channel_order": facts["format"],
        "min_side": facts["min_size"],
        "max_side": facts["max_size"],
        "metadata": MODELS[name],
    } | options
    return Detectron2(Replay(name, arrays), **options)


def coco_answer(name: str, n: int, arrays) -> tuple[np.ndarray, np.ndarray]:
    """What Detectron2's own evaluator says, in COCO's format and numbers."""
    png = io.BytesIO()
    Image.fromarray(arrays[f"{name}_{n}_coco"]).save(png, "PNG")
    return read_coco_panoptic(png.getvalue(), FACTS[name]["pictures"][n]["coco_segments"])


@pytest.mark.parametrize("name", MODELS)
def test_labels_are_what_the_evaluator_says(name, arrays):
    annotate = adapter(name, arrays)
    found = annotate(IMAGES, [None] * len(IMAGES))
    assert annotate.model.batches == [2, 1, 1, 1]  # the two of one size together
    seen = set()
    for n, layers in enumerate(found):
        panoptic, instances = coco_answer(name, n, arrays)
        assert np.array_equal(layers.panoptic, panoptic)
        pairs = set(zip(layers.instances.flat, instances.flat, strict=True))
        assert len(pairs) == len(set(layers.instances.flat)) == len(set(instances.flat))
        assert ((layers.instances == 0) == (panoptic == VOID)).all()
        assert layers.panoptic.dtype == np.uint8
        assert layers.instances.dtype == np.int32
        layers.clean()
        seen |= set(panoptic.flat)
    assert any(label < 80 for label in seen)
    assert any(80 <= label < 133 for label in seen)
    assert VOID in seen


@pytest.mark.parametrize("name", MODELS)
def test_metadata_form(name):
    class Metadata:
        thing_dataset_id_to_contiguous_id = {int(k): v for k, v in FACTS[name]["things"].items()}
        stuff_dataset_id_to_contiguous_id = {int(k): v for k, v in FACTS[name]["stuff"].items()}

    assert metadata_form("x", Metadata) == MODELS[name]
    Metadata.thing_dataset_id_to_contiguous_id = {1: 0, 2: 1}
    with pytest.raises(ValueError, match="x: found a data set of other categories"):
        metadata_form("x", Metadata)


def test_same_alone_and_in_company_and_other_layers_stay(arrays):
    annotate = adapter("fpn", arrays, batch_size=1)
    human = np.ones(SIZES[0], np.uint8)
    known = Layers(np.zeros(SIZES[0], np.uint8), human=human)
    together = adapter("fpn", arrays)(IMAGES, [known, *[None] * 4])
    for n, image in enumerate(IMAGES):
        alone = annotate([image], [None])[0]
        assert np.array_equal(alone.panoptic, together[n].panoptic)
        assert np.array_equal(alone.instances, together[n].instances)
    assert together[0].human is human
    assert together[1].human is None


def test_void_and_person_in_both_forms():
    """The person gate must decide alike: COCO's category 1 is label 0 in each."""
    ids = torch.tensor([[0, 1, 2, 3]])
    things = [{"id": 1, "isthing": True, "category_id": 0}]
    for form, banner in (("separated", 1), ("standard", 80)):
        stuff = [{"id": 2, "isthing": False, "category_id": banner}]
        layers = panoptic_layers(ids, things + stuff, metadata=form)
        assert layers.panoptic.tolist() == [[VOID, 0, 80, VOID]]
        assert len(set(layers.instances[0, :3].tolist())) == 3
    deeplab = torch.tensor([[-1, 1, 2, 80000, 79001]])
    layers = panoptic_layers(deeplab, None, metadata="standard")
    assert layers.panoptic.tolist() == [[VOID, 0, 0, 80, 79]]
    assert len(set(layers.instances.flat)) == 5
    some_thing = [{"id": 2, "isthing": False, "category_id": 0}]
    assert panoptic_layers(ids, some_thing, metadata="separated").panoptic[0, 2] == VOID


@pytest.mark.parametrize(
    ("segment", "form"),
    [
        ({"isthing": False, "category_id": 54}, "separated"),
        ({"isthing": False, "category_id": 53}, "standard"),
        ({"isthing": True, "category_id": 80}, "standard"),
        ({"isthing": True, "category_id": -1}, "separated"),
        ({"isthing": False, "category_id": 133}, "standard"),
    ],
)
def test_other_categories_are_refused(segment, form):
    with pytest.raises(ValueError, match="panoptic_seg: found the labels"):
        panoptic_layers(torch.tensor([[1]]), [{"id": 1, **segment}], metadata=form)


def test_none_without_standard_metadata_is_refused():
    with pytest.raises(ValueError, match="found no segments_info, expected some"):
        panoptic_layers(torch.tensor([[1]]), None, metadata="separated")
    with pytest.raises(ValueError, match=r"labels \[133\]"):
        panoptic_layers(torch.tensor([[133000]]), None, metadata="standard")


def test_channel_order_is_proved(arrays):
    other = {"RGB": "BGR", "BGR": "RGB"}
    for name in MODELS:
        wrong = other[FACTS[name]["format"]]
        with pytest.raises(ValueError, match=f"the channel order {wrong} with the mean"):
            adapter(name, arrays, channel_order=wrong)
    with pytest.raises(ValueError, match="found the channel order 'GBR', expected RGB or BGR"):
        adapter("fpn", arrays, channel_order="GBR")

    class Swapped(Detectron2):
        def _input(self, image):
            return super()._input(image[:, :, ::-1])

    replay = Replay("fpn", arrays)
    with pytest.raises(ValueError, match=r"expected \[26, 128, 230\]: BGR"):
        Swapped(replay, channel_order="BGR", min_side=96, max_side=160, metadata="separated")


class Padding(Replay):
    """As the real models do: pictures are padded, at right and below, to a multiple of `side`."""

    side = 0

    def forward(self, inputs):
        for given in inputs:
            pixels = (given["image"] - self.pixel_mean) / self.pixel_std
            high, wide = (-size % self.side for size in pixels.shape[1:])
            self.backbone(torch.nn.functional.pad(pixels, (0, wide, 0, high))[None])
        raise AssertionError("the probe goes no further than the backbone")


@pytest.mark.parametrize("min_side", [320, 256, 0, 640, 800, 1])
@pytest.mark.parametrize("side", [32, 160, 640, 1000])
def test_channel_order_is_proved_of_padded_pictures(arrays, min_side, side):
    """Panoptic-DeepLab pads to multiples of 640: the middle of its input may be padding."""
    model = Padding("fpn", arrays)
    model.side = side
    options = {"min_side": min_side, "max_side": 1333, "metadata": "separated"}
    Detectron2(model, channel_order="BGR", **options)

    class Swapped(Detectron2):
        def _input(self, image):
            return super()._input(image[:, :, ::-1])

    with pytest.raises(ValueError, match=r"expected \[26, 128, 230\]: BGR"):
        Swapped(model, channel_order="BGR", **options)


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((480, 640), (800, 1333), (800, 1067)),
        ((640, 480), (800, 1333), (1067, 800)),
        ((200, 600), (800, 1333), (444, 1333)),
        ((333, 333), (800, 1333), (800, 800)),
        ((5, 7), (0, 1333), (5, 7)),
    ],
)
def test_size(size, limits, expected):
    assert resized(*size, *limits) == expected


def test_what_is_wrong(tmp_path, arrays):
    annotate = adapter("fpn", arrays)
    for images, layers, message in (
        ([np.zeros((4, 4, 3))], [None], r"image 0: found float64 \[4, 4, 3\], expected uint8"),
        ([np.zeros((4, 4), np.uint8)], [None], r"expected uint8 \[H, W, 3\]"),
        ([IMAGES[0]], [], "layers: found 0, expected one for each of 1"),
        ([IMAGES[0]], [Layers(np.zeros((2, 2), np.uint8))], "layers of 2 x 2, expected 60 x 80"),
    ):
        with pytest.raises(ValueError, match=message):
            annotate(images, layers)
    with pytest.raises(ValueError, match="metadata: found 'x'"):
        adapter("fpn", arrays, metadata="x")


def test_weights_are_read_and_run_no_code(tmp_path):
    file = tmp_path / "model.pkl"
    state = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float64(2)}
    for protocol in (2, 4):
        file.write_bytes(pickle.dumps({"model": state, "__author__": "x"}, protocol))
        read = read_weights(file)
        assert torch.equal(read["a"], torch.arange(6.0).reshape(2, 3))
        assert read["b"] == 2
    torch.save({"model": {"a": torch.ones(2)}}, tmp_path / "model.pth")
    assert torch.equal(read_weights(tmp_path / "model.pth")["a"], torch.ones(2))

    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    file.write_bytes(pickle.dumps({"model": {"a": Code()}}))
    with pytest.raises(ValueError, match="found no weights that are safe to read"):
        read_weights(file)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="found no weights that are safe to read"):
        read_weights(file)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ValueError, match=r"none.pkl: found no such weights. .*MODEL_ZOO.md"):
        read_weights(tmp_path / "none.pkl")


def test_configs_are_read_over_their_base_and_run_no_code(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "base.yaml").write_text("MODEL: {A: 1, B: [1, 2]}\nINPUT: {FORMAT: RGB}\n")
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    (tmp_path / "own.yaml").write_text(
        f'_BASE_: base.yaml\nMODEL: {{A: 2}}\nX: !!python/object/apply:eval ["{code}"]\n'
    )
    values = read_config(tmp_path / "own.yaml")
    assert values == {"MODEL": {"A": 2, "B": [1, 2]}, "INPUT": {"FORMAT": "RGB"}}
    assert not (tmp_path / "ran").exists()
    (tmp_path / "own.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="own.yaml: found no readable YAML"):
        read_config(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text("3")
    with pytest.raises(ValueError, match="own.yaml: found int, expected a config"):
        read_config(tmp_path / "own.yaml")


def test_absence_is_explained():
    try:
        import detectron2  # noqa: F401
    except ImportError:
        message = r"detectron2 does not import here .*Install it: pip install .*git\+https"
        with pytest.raises(ValueError, match=message):
            make("detectron2", config="x.yaml", weights="x.pkl")
    else:
        pytest.skip("detectron2 is installed")


# ---------------------------------------------------------------------- live

DEEPLAB = """
MODEL:
  META_ARCHITECTURE: PanopticDeepLab
  PIXEL_MEAN: [123.675, 116.280, 103.530]
  PIXEL_STD: [58.395, 57.120, 57.375]
  BACKBONE: {NAME: build_resnet_deeplab_backbone}
  RESNETS: {DEPTH: 50, NORM: BN, OUT_FEATURES: [res2, res3, res5], RES5_MULTI_GRID: [1, 2, 4],
            STEM_TYPE: deeplab, STEM_OUT_CHANNELS: 128, STRIDE_IN_1X1: false, RES5_DILATION: 2,
            RES4_DILATION: 1}
  SEM_SEG_HEAD: {NAME: PanopticDeepLabSemSegHead, IN_FEATURES: [res2, res3, res5],
                 PROJECT_FEATURES: [res2, res3], PROJECT_CHANNELS: [32, 64],
                 ASPP_CHANNELS: 256, ASPP_DILATIONS: [6, 12, 18], HEAD_CHANNELS: 256,
                 CONVS_DIM: 256, COMMON_STRIDE: 4, NUM_CLASSES: 133, NORM: BN,
                 USE_DEPTHWISE_SEPARABLE_CONV: true}
  PANOPTIC_DEEPLAB: {STUFF_AREA: 100, CENTER_THRESHOLD: -1.0, NMS_KERNEL: 41,
                     USE_DEPTHWISE_SEPARABLE_CONV: true, SIZE_DIVISIBILITY: 160}
  INS_EMBED_HEAD: {IN_FEATURES: [res2, res3, res5], PROJECT_FEATURES: [res2, res3], NORM: BN}
DATASETS: {TRAIN: [coco_2017_train_panoptic], TEST: [coco_2017_val_panoptic]}
INPUT:
  FORMAT: RGB
  MIN_SIZE_TRAIN: !!python/object/apply:eval ["[int(x * 0.1 * 640) for x in range(5, 16)]"]
  MIN_SIZE_TEST: 96
  MAX_SIZE_TEST: 160
  CROP: {ENABLED: true, TYPE: absolute, SIZE: [160, 160]}
"""
FPN = """
_BASE_: {zoo}
MODEL:
  RPN: {{POST_NMS_TOPK_TEST: 20}}
  ROI_HEADS: {{SCORE_THRESH_TEST: 0.0}}
  PANOPTIC_FPN: {{COMBINE: {{INSTANCES_CONFIDENCE_THRESH: 0.0, STUFF_AREA_LIMIT: 100}}}}
INPUT: {{MIN_SIZE_TEST: 96, MAX_SIZE_TEST: 160}}
TEST: {{DETECTIONS_PER_IMAGE: 5}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_live(name, tmp_path):
    pytest.importorskip("detectron2", reason="Detectron2 is not installed: it is on no registry")
    runpy.run_path(str(RECORD / "torchvision_ops.py"))["load"]()
    from detectron2 import model_zoo
    from detectron2.config import get_cfg
    from detectron2.data import transforms
    from detectron2.modeling import build_model
    from detectron2.projects.panoptic_deeplab import add_panoptic_deeplab_config

    config = tmp_path / "config.yaml"
    zoo = model_zoo.get_config_file("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml")
    config.write_text(FPN.format(zoo=zoo) if name == "fpn" else DEEPLAB)
    cfg = get_cfg()
    if name == "deeplab":
        add_panoptic_deeplab_config(cfg)
    cfg.merge_from_other_cfg(type(cfg)(read_config(config)))
    cfg.MODEL.DEVICE = "cpu"
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    for part, module in model.named_modules():
        if part.endswith("conv3.norm"):
            module.weight.data.mul_(0.2)
    weights = tmp_path / "model_final.pkl"
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    state["pixel_mean"] = model.pixel_mean.numpy()  # as older versions saved it
    weights.write_bytes(pickle.dumps({"model": state, "__author__": "test"}))

    annotate = make("detectron2", config=config, weights=weights, batch_size=2)
    assert (annotate.metadata, annotate.channel_order) == (MODELS[name], cfg.INPUT.FORMAT)
    found = annotate(IMAGES, [None] * len(IMAGES))
    labels = set()
    for image, layers in zip(IMAGES, found, strict=True):
        ordered = image if cfg.INPUT.FORMAT == "RGB" else image[:, :, ::-1]
        shortest = transforms.ResizeShortestEdge([96, 96], 160)
        pixels = shortest.get_transform(ordered).apply_image(ordered)
        given = {
            "image": torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1).copy()),
            "height": image.shape[0],
            "width": image.shape[1],
        }
        with torch.no_grad():
            (output,) = model([given])
        expected = panoptic_layers(*output["panoptic_seg"], metadata=MODELS[name])
        agree = (layers.panoptic == expected.panoptic).mean()
        assert agree > 0.999  # a batch of two may round otherwise
        labels |= set(layers.panoptic.flat)
    assert len(labels) > 2
    assert labels <= {*range(len(COCO_NAMES)), VOID}
    del state["pixel_mean"], state[next(iter(state))]
    weights.write_bytes(pickle.dumps({"model": state}))
    with pytest.raises(ValueError, match="found weights of another model than the config's: lacks"):
        make("detectron2", config=config, weights=weights)
    with pytest.raises(ValueError, match="found no such file, nor a config of that name"):
        make("detectron2", config="x.yaml", weights=weights)
