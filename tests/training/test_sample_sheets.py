"""sample_sheets.py: samples beside what the GPT draws for their captions."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import STREAMS, settings  # noqa: E402
from mas_fast.bundle import load_vq, save_vq  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.models.gpt import GPT  # noqa: E402
from mas_fast.models.torch_codec import decode_pictures, decode_scenes  # noqa: E402
from mas_fast.models.vqvae import VQVAE  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.sample_sheets import Sheets  # noqa: E402
from mas_fast.utils.contact_sheet import GAP, LINE, SIDE  # noqa: E402

CPU = torch.device("cpu")


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = GAP + row * (SIDE + LINE + GAP), GAP + column * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def enlarged(picture: np.ndarray) -> np.ndarray:
    return picture.repeat(SIDE // len(picture), 0).repeat(SIDE // len(picture), 1)


def test_samples_stand_beside_what_is_drawn(tmp_path, shards, bundle) -> None:
    torch.set_num_threads(1)
    data = Sequences(TokenShards(shards), 0)
    sheets = Sheets(bundle, data, CPU)
    model = GPT.create(settings(shards, tmp_path).config(STREAMS))
    file = tmp_path / "sheets" / "one.png"
    sheets.draw(model, file)
    assert [path.name for path in file.parent.iterdir()] == ["one.png"]
    with Image.open(file) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        found = np.asarray(image)
    assert found.shape == (4 * (SIDE + LINE + GAP) + GAP, 4 * (SIDE + GAP) + GAP, 3)
    for row, index in enumerate((0, 7, 14, 21)):  # evenly spread over 22
        tokens = torch.from_numpy(data[0, index][1]).long()[None]
        seg, img = tokens[:, 6:10].view(1, 2, 2), tokens[:, 10:].view(1, 4, 4)
        (scene,) = decode_scenes(load_vq(bundle, "vq_seg", CPU, torch.float32), seg)
        (picture,) = decode_pictures(load_vq(bundle, "vq_img", CPU, torch.float32), img)
        assert np.array_equal(cell(found, row, 0), enlarged(scene.colors()))
        assert np.array_equal(cell(found, row, 1), enlarged(picture))
    content = file.read_bytes()
    sheets.draw(model, file)  # replaced, by the same: the seed is fixed
    assert file.read_bytes() == content
    sheets.draw(GPT.create(model.config, seed=1), file)
    with Image.open(file) as image:
        other = np.asarray(image)
    rows = range(4)
    assert all(np.array_equal(cell(found, n, 1), cell(other, n, 1)) for n in rows)
    assert not all(np.array_equal(cell(found, n, 3), cell(other, n, 3)) for n in rows)


def test_another_tokenizer_than_that_of_the_tokens_is_named(tmp_path, shards, bundle) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    config = replace(load_vq(bundle, "vq_img").config, codes=48)
    save_vq(other, "vq_img", VQVAE.create(config))
    with pytest.raises(ValueError) as error:
        Sheets(other, Sequences(TokenShards(shards), 0), CPU)
    assert str(error.value) == (
        f"{other}: vq_img: found 48 codes, expected 64, as the tokens of {shards}"
    )
