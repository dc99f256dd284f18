"""data/annotators/schp.py and schp_network.py: against what the published code computed (see
tests/record/record_schp.py), and who gets parts where."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mas_fast.data.annotators import make, schp  # noqa: E402
from mas_fast.data.annotators.schp import (  # noqa: E402
    Job,
    Schp,
    load_network,
    normalise,
    paste,
    warp,
)  # noqa: E402
from mas_fast.data.annotators.schp_network import ABN, SCHP  # noqa: E402
from mas_fast.scene import PERSON, VOID, Layers  # noqa: E402

TESTS = Path(__file__).parents[2]
WEIGHTS = runpy.run_path(str(TESTS / "record" / "weights.py"))


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    lines = (TESTS / "fixtures" / "schp_tensors.txt").read_text().splitlines()
    return {name: tuple(map(int, sizes)) for name, *sizes in map(str.split, lines)}


@pytest.fixture(scope="module")
def recorded():
    with np.load(TESTS / "fixtures" / "schp.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def state(shapes) -> dict[str, torch.Tensor]:
    return {n: torch.from_numpy(v) for n, v in WEIGHTS["random_state"](shapes).items()}


def save(path: Path, state: dict) -> Path:
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, state):
    file = save(tmp_path_factory.mktemp("schp") / "schp.pth", state)
    yield file
    file.unlink()  # 267 MB


class Bands(torch.nn.Module):
    """Says part 1 + n for the n-th of five bands of a crop from top to bottom; the outermost
    twentieth on every side is background."""

    def forward(self, crops):
        n, side = len(crops), 40
        labels = torch.zeros(side, side, dtype=torch.int64)
        labels[:] = 1 + torch.arange(side)[:, None] * 5 // side
        labels[:2] = labels[-2:] = labels[:, :2] = labels[:, -2:] = 0
        return (
            torch.nn.functional.one_hot(labels, 20).permute(2, 0, 1)[None].repeat(n, 1, 1, 1) * 1.0
        )


def test_tensors_are_the_published_ones(shapes):
    own = {name: tuple(value.shape) for name, value in SCHP().state_dict().items()}
    assert own == shapes
    assert len(own) == 603


def test_network_computes_what_the_published_one_does(checkpoint, recorded):
    network = load_network(checkpoint)
    pixels = np.random.RandomState(1).standard_normal((1, 3, 97, 129)).astype(np.float32)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels))
    assert logits.shape == (1, 20, 25, 33)
    error = np.abs(logits[0, :, ::2, ::2].numpy() - recorded["logits"]).max()
    assert error < 1e-4
    assert recorded["logits"].std() > 0.1


def test_abn_scales_by_the_absolute_weight():
    abn, x = ABN(2, slope=0.01), torch.tensor([[[[3.0]], [[3.0]]]])
    abn.weight.data = torch.tensor([-2.0, 2.0])
    abn.running_mean[:], abn.running_var[:] = 1, 4
    assert torch.allclose(abn(x).flatten(), torch.full((2,), 2.0), atol=1e-4)
    assert torch.allclose(abn(-x).flatten(), torch.full((2,), -0.04), atol=1e-4)


def test_warp_is_the_published_one(recorded):
    image = torch.from_numpy(WEIGHTS["picture"](61, 83, 2)).permute(2, 0, 1)[None]
    crop = warp(image, Job(0, 0, 0, 82, 60))
    assert crop.shape == (1, 3, 473, 473)
    own = crop[0].flip(0).permute(1, 2, 0).numpy()[::8, ::8]
    difference = np.abs(own - recorded["warped"])
    assert difference.max() <= 3  # OpenCV rounds to 1/32 pixel
    assert difference.mean() < 0.2
    assert (own[0] == 0).all()  # black above the picture
    assert (own[30] > 0).all()


def test_labels_are_the_published_ones(recorded):
    options = {"mode": "bilinear", "align_corners": True}
    coarse = torch.from_numpy(recorded["coarse"])
    logits = torch.nn.functional.interpolate(coarse, (119, 119), **options)
    human = np.zeros((61, 83), np.uint8)
    paste(human, logits, Job(0, 0, 0, 82, 60), Layers(np.zeros((61, 83), np.uint8)))
    assert (human == recorded["labels"]).mean() > 0.995


def test_people_are_parsed_one_by_one():
    panoptic = np.full((100, 200), VOID, np.uint8)
    instances = np.zeros((100, 200), np.int32)
    panoptic[10:90, 10:40], instances[10:90, 10:40] = PERSON, 7
    panoptic[20:60, 120:140], instances[20:60, 120:140] = PERSON, 3
    panoptic[0:10, 190:200], instances[0:10, 190:200] = PERSON, 4  # under 16 pixels
    panoptic[:, 60:80], instances[:, 60:80] = 1, 9  # a bicycle
    layers = Layers(panoptic, instances)
    image = np.zeros((100, 200, 3), np.uint8)
    one = Schp(Bands(), batch_size=1)([image], [layers])[0]
    many = Schp(Bands(), batch_size=8)([image, image], [layers, layers])
    for found in many:
        assert np.array_equal(found.human, one.human)
    assert one.panoptic is panoptic
    assert one.human.dtype == np.uint8
    assert sorted(set(one.human[:, :60].flat)) == sorted(set(one.human[:, 100:160].flat))
    for rows, columns in ((slice(10, 90), 25), (slice(20, 60), 130)):
        found = one.human[rows, columns]
        assert found[0] == 1
        assert found[-1] == 5
        assert (np.diff(found.astype(int)) >= 0).all()
    assert not one.human[:10, 180:].any()
    assert not one.human[:, 60:100].any()


def test_parts_stay_off_other_people_and_smaller_people_are_pasted_later():
    panoptic = np.full((80, 80), VOID, np.uint8)
    instances = np.zeros((80, 80), np.int32)
    panoptic[5:75, 5:75], instances[5:75, 5:75] = PERSON, 1
    panoptic[30:60, 30:60], instances[30:60, 30:60] = PERSON, 2
    whole = Schp(Bands(), "image")([np.zeros((80, 80, 3), np.uint8)], [Layers(panoptic, instances)])
    found = Schp(Bands())([np.zeros((80, 80, 3), np.uint8)], [Layers(panoptic, instances)])
    human = found[0].human
    assert human[33:57, 45].min() == 1
    assert human[33:57, 45].max() == 5  # the small one, whole
    assert np.array_equal(np.unique(human[12:68, 20]), np.arange(1, 6))
    assert np.array_equal(np.unique(whole[0].human[33:57, 45]), [3, 4])
    other = np.zeros_like(human)
    paste(other, Bands()(torch.zeros(1))[:1], Job(0, 0, 0, 79, 79, 1), Layers(panoptic, instances))
    assert not other[30:60, 30:60].any()
    assert other[12:30, 45].all()


def test_where_boxes_of_people_overlap():
    """A large person like an L, and a small one within its box: around the small one are its parts,
    and where its crop says background, those of the large one."""
    panoptic = np.full((100, 100), VOID, np.uint8)
    instances = np.zeros((100, 100), np.int32)
    for rows, columns in ((slice(5, 95), slice(5, 15)), (slice(85, 95), slice(5, 95))):
        panoptic[rows, columns], instances[rows, columns] = PERSON, 2
    panoptic[30:70, 50:70], instances[30:70, 50:70] = PERSON, 1
    (found,) = Schp(Bands())([np.zeros((100, 100, 3), np.uint8)], [Layers(panoptic, instances)])
    assert found.human[[27, 29, 65, 65], [60, 60, 49, 40]].tolist() == [2, 1, 5, 4]


def test_no_people_no_parts():
    class Never(torch.nn.Module):
        def forward(self, crops):
            raise AssertionError("the network ran")

    images = [np.zeros((30, 40, 3), np.uint8)] * 2
    nobody = Layers(np.full((30, 40), 5, np.uint8), np.zeros((30, 40), np.int32))
    for crops in schp.CROPS:
        for found in Schp(Never(), crops)(images, [nobody, nobody]):
            assert found.human.shape == (30, 40)
            assert not found.human.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (17, 600)])
def test_odd_pictures(shape):
    everyone = Layers(np.full(shape, PERSON, np.uint8), np.zeros(shape, np.int32))
    for crops in schp.CROPS:
        found = Schp(Bands(), crops)([np.zeros((*shape, 3), np.uint8)], [everyone])[0]
        assert found.human.shape == shape
        assert found.human.max() < 20


def test_colours_arrive_as_bgr(monkeypatch):
    wrong = normalise
    monkeypatch.setattr(schp, "normalise", lambda crops: wrong(crops.flip(1)))
    with pytest.raises(
        ValueError, match=r"schp: found .* for the colour .* expected \[26, 128, 230\]: BGR"
    ):
        Schp(Bands())


def test_what_is_wrong(tmp_path, shapes):
    with pytest.raises(ValueError, match="crops: found 'x', expected one of"):
        Schp(Bands(), "x")
    annotate = Schp(Bands())
    with pytest.raises(ValueError, match="image 0: found no layers"):
        annotate([np.zeros((4, 4, 3), np.uint8)], [None])
    with pytest.raises(ValueError, match=r"missing.pth: found no such weights .*drive.google"):
        make("schp", weights=tmp_path / "missing.pth")
    file = tmp_path / "schp.pth"
    file.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="found no checkpoint of SCHP that is safe to read"):
        load_network(file)
    torch.save({"state_dict": {"module.x": object}}, file)  # a class, and no tensor
    with pytest.raises(ValueError, match=r"found other tensors than .*Missing key\(s\)"):
        load_network(file)
    zeros = torch.zeros(max(map(math.prod, shapes.values())))  # shared by all: small files
    state = {name: zeros[: math.prod(shape)].view(shape) for name, shape in shapes.items()}
    less = dict(state)
    less["fushion.3.weights"] = less.pop("fushion.3.weight")
    with pytest.raises(ValueError, match=r'found other tensors .*Missing .*"fushion\.3\.weight"'):
        load_network(save(file, less))
    atr = dict(state) | {"fushion.3.weight": torch.zeros(18, 256, 1, 1)}
    with pytest.raises(ValueError, match=r"size mismatch for fushion\.3\.weight: .*\[18, 256, 1"):
        load_network(save(file, atr))


def test_loaded_by_name(checkpoint, monkeypatch):
    monkeypatch.setattr(schp, "SIDE", 97)  # the network takes any size: a second, not 20
    annotate = make("schp", weights=checkpoint, crops="image", batch_size=2)
    image, job = WEIGHTS["picture"](50, 40, 0), Job(0, 0, 0, 39, 49)
    layers = Layers(np.zeros((50, 40), np.uint8))
    with torch.no_grad():
        crop = warp(torch.from_numpy(image).permute(2, 0, 1)[None], job)
        logits = annotate.network(normalise(crop))
    human = np.zeros((50, 40), np.uint8)
    paste(human, logits, job, layers)
    assert np.array_equal(annotate([image], [layers])[0].human, human)
    assert human.any()
