"""data/annotators/base.py and the names of the annotators."""

import numpy as np
import pytest

from mas_fast.data.annotators import NAMES, make
from mas_fast.data.annotators.base import (
    PROBE_COLOR,
    batches,
    check_channels,
    check_order,
    check_pictures,
    library,
    segment_layers,
    with_panoptic,
)
from mas_fast.scene import VOID, Layers

IMAGE = np.zeros((2, 3, 3), np.uint8)
LAYERS = Layers(np.zeros((2, 3), np.uint8))


def test_annotators_by_name():
    assert NAMES == ("detectron2", "transformers", "schp", "face", "truth")
    assert make("truth")([IMAGE], [LAYERS]) == [LAYERS]
    with pytest.raises(ValueError, match="found 'x', expected one of detectron2, transformers, sc"):
        make("x")
    with pytest.raises(ValueError, match=r"truth: found options \['device'\], expected some of \["):
        make("truth", device="cpu")


@pytest.mark.parametrize(
    ("name", "options", "needed"),
    [("schp", {}, "weights"), ("detectron2", {"device": "cpu"}, "config and weights")],
)
def test_needed_options_are_named(name, options, needed):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=f"{needed} among them"):
        make(name, **options)


@pytest.mark.parametrize(
    ("images", "layers", "message"),
    [
        ([IMAGE], [], "layers: found 0, expected one for each of 1"),
        (
            [IMAGE.astype(np.float32)],
            [LAYERS],
            r"image 0: found float32 \[2, 3, 3\], exp",
        ),
        ([IMAGE, IMAGE[:, :, :2]], [LAYERS] * 2, r"image 1: found uint8 \[2, 3, 2\]"),
        ([IMAGE[:0]], [LAYERS], r"found uint8 \[0, 3, 3\]"),
        (["photo.jpg"], [LAYERS], "image 0: found str"),
        ([IMAGE], [None], "image 0: found no layers, expected those of a panoptic annotator"),
        ([IMAGE], [LAYERS.crop(0, 0, 2, 2)], "found layers of 2 x 2, expected 2 x 3"),
    ],
)
def test_unfit_pictures(images, layers, message):
    with pytest.raises(ValueError, match=message):
        check_pictures(images, layers, needs_layers=True)


def test_fit_pictures():
    check_pictures([], [], needs_layers=True)
    check_pictures([IMAGE], [LAYERS], needs_layers=True)
    check_pictures([IMAGE], [None], needs_layers=False)


def test_batches_hold_one_size_each_and_all_once():
    found = list(batches("abaabcb", 2))
    assert found == [[0, 2], [3], [1, 4], [6], [5]]
    assert list(batches([], 2)) == []


def test_layers_of_segments():
    ids = np.array([[0, 4, 4, -1], [7, 9, 12, 2**31]], np.int64)
    layers = segment_layers(ids, {4: 0, 7: 0, 9: 100, 12: 100, 99: 1})
    assert layers.panoptic.tolist() == [[VOID, 0, 0, VOID], [0, 100, 100, VOID]]
    row, other = layers.instances.tolist()
    assert row[0] == row[3] == other[3] == 0
    assert row[1] == row[2] != other[0]
    assert other[1] == other[2]  # one stuff class, one segment
    assert len({row[1], other[0], other[1], 0}) == 4
    crowd = np.arange(200)[None]  # more things than the number of any stuff label
    layers = segment_layers(crowd, {n: 0 if n < 150 else 81 for n in range(200)})
    assert len(set(layers.instances.flat)) == 151


def test_panoptic_layers_take_the_place_of_older_ones():
    human = np.ones((2, 3), np.uint8)
    found = Layers(np.full((2, 3), 5, np.uint8), np.ones((2, 3), np.int32))
    assert with_panoptic(None, found) is found
    both = with_panoptic(Layers(LAYERS.panoptic, human=human), found)
    assert both.human is human
    assert both.panoptic is found.panoptic
    assert both.instances is found.instances


def test_missing_libraries_are_explained():
    assert library("json", "pip install json", "loads").__name__ == "json"
    with pytest.raises(ValueError, match="nowhere_to_be_found does not import .*: pip install x"):
        library("nowhere_to_be_found", "pip install x")


@pytest.mark.parametrize(
    ("order", "mean", "fine"),
    [
        ("RGB", (123.7, 116.3, 103.5), True),
        ("BGR", (103.5, 116.3, 123.7), True),
        ("RGB", (103.5, 116.3, 123.7), False),
        ("BGR", (123.7, 116.3, 103.5), False),
        ("RGB", (127.5, 127.5, 127.5), True),
        ("rgb", (127.5, 127.5, 127.5), False),
    ],
)
def test_order_against_mean(order, mean, fine):
    if fine:
        check_order("x", order, mean)
    else:
        with pytest.raises(ValueError, match="x: found the channel order"):
            check_order("x", order, mean)


class Net:
    """Preprocesses as told, and counts how often its network ran."""

    def __init__(self, order=(0, 1, 2), scale=255.0, mean=0.5) -> None:
        import torch

        self.order, self.scale, self.mean, self.ran = list(order), scale, mean, 0
        self.network = torch.nn.Identity()

    def __call__(self, picture):
        import torch

        pixels = torch.from_numpy(picture.astype(np.float32)[:, :, self.order] / self.scale)
        self.network((pixels - self.mean).permute(2, 0, 1)[None])
        self.ran += 1


def prove(net: Net, order: str = "RGB") -> None:
    check_channels("x", net.network, net, order=order, mean=(127.5,) * 3, std=(255.0,) * 3)


def test_channels():
    pytest.importorskip("torch")
    net = Net()
    prove(net)
    assert net.ran == 0
    net(np.zeros((4, 4, 3), np.uint8))
    assert net.ran == 1  # nothing is left hooked
    prove(Net((2, 1, 0)), "BGR")
    assert len(set(PROBE_COLOR)) == 3
    for wrong, order in (
        (Net((2, 1, 0)), "RGB"),
        (Net(), "BGR"),
        (Net((0, 2, 1)), "RGB"),
        (Net(scale=1.0), "RGB"),
        (Net(mean=0.0), "RGB"),
        (Net(mean=0.503), "RGB"),
        (Net(mean=float("nan")), "RGB"),
        (Net((0, 1)), "RGB"),
    ):
        with pytest.raises(
            ValueError, match=r"x: found .* at the network for the colour .*, expected \["
        ):
            prove(wrong, order)
    with pytest.raises(ValueError, match="x: found no input of the network, expected a picture"):
        check_channels("x", Net().network, lambda _: None, order="RGB", mean=(0,) * 3, std=(1,) * 3)
