"""The storybook is a source as any other."""

import json

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.prepare import Rules, prepare  # noqa: E402
from mas_fast.data.sources.base import Sample  # noqa: E402
from mas_fast.data.sources.open import TarSource, open_source  # noqa: E402
from mas_fast.data.storybook.world1.captions import captions  # noqa: E402
from mas_fast.data.storybook.source import FILE, StorySource, write_storybook  # noqa: E402
from mas_fast.data.storybook.world1.story import story  # noqa: E402


def test_a_folder_of_stories(tmp_path) -> None:
    write_storybook(tmp_path / "book", 5, size=64, split="validation", seed=3)
    source = open_source(tmp_path / "book")
    assert isinstance(source, StorySource)
    assert len(source) == 5
    sample = source[2]
    assert isinstance(sample, Sample)
    assert sample.key == "validation-00000002"
    assert sample.captions == captions(story("validation", 2, 3))
    assert sample.pixels.shape == (64, 64, 3)
    assert sample.scene.height == 64
    assert np.array_equal(sample.pixels, source[2].pixels)


def test_it_is_prepared_as_other_sources(tmp_path) -> None:
    write_storybook(tmp_path / "book", 6, size=64)
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        options = {"rules": Rules(64), "per_shard": 3, "progress": False}
        manifest = prepare(tmp_path / "book", folder, workers=workers, **options)
        assert [shard["samples"] for shard in manifest["shards"]] == [3, 3]
    one, two = (sorted((tmp_path / n).glob("*.tar")) for n in ("1", "2"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
    stored, painted = TarSource(one)[4], StorySource(6, 64)[4]
    assert stored.scene == painted.scene
    assert stored.captions == painted.captions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "another format"),
        ({"split": "dev"}, "split: found 'dev'"),
        ({"scenes": 0}, "scenes: found 0"),
        ({"size": 8}, "size: found 8"),
        ({"more": 1}, "more"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, change, message) -> None:
    write_storybook(tmp_path, 5)
    values = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(values | change))
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path)


def test_captions_beside_a_storybook_are_refused(tmp_path) -> None:
    write_storybook(tmp_path, 5)
    (tmp_path / "c.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="which has its own"):
        open_source(tmp_path, tmp_path / "c.csv")
