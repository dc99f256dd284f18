"""data/shards.py: folders that are written shard by shard, and token shards read without copies."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="token shards need pyarrow")

from mas_fast.data.shards import SCENES, TOKENS, ShardFolder, read_manifest  # noqa: E402
from mas_fast.data.token_shards import TokenShards, token_batch, write_tokens  # noqa: E402
from mas_fast.streams import Stream, Streams  # noqa: E402

STREAMS = Streams(
    [Stream("text", 5, 300, pad=0), Stream("seg", 4, 32, grid=(2, 2)), Stream("img", 9, 65536)]
)
COUNTS = (3, 0, 4)  # samples in each shard


def rows(shard: int, count: int) -> dict:
    random = np.random.default_rng(shard)

    def ids(name: str, n: int) -> np.ndarray:
        return random.integers(STREAMS[name].vocab, size=(n, STREAMS[name].length))

    return {
        "keys": [f"{shard}/{n}" for n in range(count)],
        "captions": [[f"{n} 빨간 🏠"] * n for n in range(count)],
        "text": [ids("text", max(n, 1)) for n in range(count)],
        "seg": ids("seg", count),
        "img": ids("img", count),
    }


def options(**changes) -> dict:
    return {"format": "arrow", "streams": STREAMS.to_list(), **changes}


def fill(path, **changes) -> ShardFolder:
    kind = options(**changes)["format"]
    folder = ShardFolder(path, TOKENS, kind, options(**changes), len(COUNTS))
    for number in folder.begin():
        batch = token_batch(STREAMS, **rows(number, COUNTS[number]))
        folder.commit(number, lambda file, batch=batch: write_tokens(file, batch, kind))
    folder.finish()
    return folder


def content(path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_tokens_come_back(tmp_path):
    fill(tmp_path / "tokens")
    tokens = TokenShards(tmp_path / "tokens")
    assert len(tokens) == 7
    assert tokens.streams == STREAMS
    tokens.verify()
    place = [(shard, n) for shard, count in enumerate(COUNTS) for n in range(count)]
    first = pickle.loads(pickle.dumps(tokens))
    assert len(tokens[3].img)
    assert not pickle.loads(pickle.dumps(tokens))._open  # maps stay behind
    for copy in (tokens, first):
        for index, (shard, n) in enumerate(place):
            expected = rows(shard, COUNTS[shard])
            row = copy[index]
            for name in ("text", "seg", "img"):
                found = getattr(row, name)
                assert found.dtype == np.uint16
                assert np.array_equal(found, expected[name][n])
            assert copy.key(index) == f"{shard}/{n}"
            assert copy.captions(index) == expected["captions"][n]
    assert sum(1 for _ in tokens) == 7
    for index in (-1, 7):
        with pytest.raises(IndexError, match=f"found index {index}, expected 0..6"):
            tokens[index]


def test_reading_copies_nothing(tmp_path):
    fill(tmp_path)
    tokens = TokenShards(tmp_path)
    before = pa.total_allocated_bytes()
    first, last = tokens[0], tokens[6]
    assert pa.total_allocated_bytes() == before  # the batches are in the mapped file
    for view in (*first, *last):
        assert not view.flags.owndata
        assert not view.flags.writeable
    whole = tokens._open[2].seg
    assert np.shares_memory(whole, last.seg)


def test_rows_are_uncompressed_arrow(tmp_path):
    fill(tmp_path)
    with pa.OSFile(str(tmp_path / "00002.arrow")) as file:
        schema = pa.ipc.open_file(file).schema
    assert schema.field("seg").type == pa.list_(pa.field("item", pa.uint16(), nullable=False), 4)
    seg = rows(2, 4)["seg"].astype("<u2").tobytes()
    assert seg in (tmp_path / "00002.arrow").read_bytes()


def test_parquet_is_for_exchange(tmp_path):
    fill(tmp_path, format="parquet")
    import pyarrow.parquet as parquet

    table = parquet.read_table(tmp_path / "00002.parquet")
    assert table["img"].to_pylist() == rows(2, 4)["img"].tolist()
    assert table["captions"].to_pylist() == rows(2, 4)["captions"]
    with pytest.raises(ValueError, match="found shards of format 'parquet', expected 'arrow'"):
        TokenShards(tmp_path)


def test_ids_that_do_not_fit_are_refused():
    wide = Streams([STREAMS["text"], STREAMS["seg"], Stream("img", 9, 65537)])
    with pytest.raises(ValueError, match="img: found a vocabulary of 65537, expected <= 65536"):
        token_batch(wide, **rows(0, 2))


def test_a_damaged_folder_is_refused(tmp_path):
    folder = fill(tmp_path)
    file = folder.shard(2)
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"00002.arrow: found \d+ bytes, expected \d+"):
        TokenShards(tmp_path)
    file.write_bytes(b"x" * len(whole))
    with pytest.raises(ValueError, match=r"00002.arrow: "):
        TokenShards(tmp_path)[6]
    seg = rows(2, 4)["seg"].astype("<u2").tobytes()
    file.write_bytes(whole.replace(seg, seg[::-1]))
    with pytest.raises(ValueError, match="00002.arrow: found sha256 .*, expected"):
        TokenShards(tmp_path).verify()
    file.unlink()
    with pytest.raises(ValueError, match="00002.arrow: found None bytes, expected"):
        TokenShards(tmp_path)


def test_ids_beyond_the_vocabulary_are_found(tmp_path):
    folder = ShardFolder(tmp_path, TOKENS, "arrow", options(), 1)
    folder.begin()
    bad = rows(0, 3)
    bad["seg"][1, 2] = 32
    batch = token_batch(STREAMS, **bad)
    folder.commit(0, lambda file: write_tokens(file, batch))
    folder.finish()
    with pytest.raises(ValueError, match=r"00000.arrow: seg: found id 32, expected 0..31"):
        TokenShards(tmp_path).verify()


def test_other_columns_are_refused(tmp_path):
    folder = ShardFolder(tmp_path, TOKENS, "arrow", options(), 1)
    folder.begin()
    batch = token_batch(STREAMS, **rows(0, 3)).select(["key", "seg"])
    folder.commit(0, lambda file: write_tokens(file, batch))
    folder.finish()
    found = "found 1 batches of .*key: .*seg: .*, expected one of the columns of a token shard"
    with pytest.raises(ValueError, match=found):
        TokenShards(tmp_path)[0]


def test_a_run_goes_on_where_it_was(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fill(whole)
    folder = ShardFolder(stopped, TOKENS, "arrow", options(), len(COUNTS))
    assert folder.begin() == [0, 1, 2]
    batch = token_batch(STREAMS, **rows(1, COUNTS[1]))
    folder.commit(1, lambda file: write_tokens(file, batch))
    folder.shard(0).write_bytes(b"without a sidecar: not known to be whole")
    (stopped / ".00002.arrow.17.tmp").write_bytes(b"a scrap")
    with pytest.raises(ValueError, match="found a run that has not come to its end"):
        TokenShards(stopped)
    with pytest.raises(ValueError, match="found no 00000.arrow of the size in its sidecar"):
        folder.finish()
    folder._lock.close()
    assert ShardFolder(stopped, TOKENS, "arrow", options(), len(COUNTS)).begin() == [0, 2]
    assert not list(stopped.glob(".*.tmp"))
    fill(stopped)
    assert content(stopped) == content(whole)
    fill(stopped)
    assert content(stopped) == content(whole)


def test_a_shard_that_was_cut_is_made_again(tmp_path):
    folder = fill(tmp_path)
    folder._lock.close()
    folder.shard(2).write_bytes(folder.shard(2).read_bytes()[:-1])
    with pytest.raises(ValueError, match="found no 00002.arrow of the size in its sidecar"):
        folder.finish()
    assert ShardFolder(tmp_path, TOKENS, "arrow", options(), len(COUNTS)).begin() == [2]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff"])
def test_a_shard_whose_sidecar_is_damaged_is_made_again(tmp_path, damage):
    folder = fill(tmp_path)
    folder._lock.close()
    before = content(folder.path)
    folder.sidecar(1).write_bytes(damage)
    again = ShardFolder(folder.path, TOKENS, "arrow", options(), len(COUNTS))
    assert again.begin() == [1]
    batch = token_batch(STREAMS, **rows(1, COUNTS[1]))
    again.commit(1, lambda file: write_tokens(file, batch, "arrow"))
    again.finish()
    assert content(folder.path) == before


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    folder = ShardFolder(tmp_path, SCENES, "tar", {}, 1)
    folder.begin()

    def full(file):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        folder.commit(0, full)
    assert sorted(os.listdir(tmp_path)) == [".lock", "manifest.json"]


def test_other_options_are_named(tmp_path):
    fill(tmp_path)
    old = content(tmp_path)
    for changes, message in (
        ({"size": 256}, "made with size = null, now it is 256"),
        ({"format": "parquet"}, 'made with format = "arrow", now it is "parquet"'),
    ):
        with pytest.raises(ValueError, match=message):
            ShardFolder(tmp_path, TOKENS, "arrow", options(**changes), 3).begin()
    with pytest.raises(ValueError, match=r"manifest.json: found 'mas_fast token shards', format 1"):
        ShardFolder(tmp_path, SCENES, "tar", {}, 3).begin()
    assert content(tmp_path) == old


def test_options_count_from_the_first_shard(tmp_path):
    """A run that fails before it has made any does not bind the next."""
    wrong = ShardFolder(tmp_path, TOKENS, "arrow", options(size=1), len(COUNTS))
    assert wrong.begin() == [0, 1, 2]
    wrong._lock.close()
    fill(tmp_path)
    assert read_manifest(tmp_path, TOKENS)["options"] == options()
    with pytest.raises(ValueError, match="made with size = null, now it is 1"):
        wrong.begin()


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ValueError, match="found 'holiday.jpg', expected a folder that is empty"):
        ShardFolder(tmp_path, SCENES, "tar", {}, 1).begin()
    with pytest.raises(ValueError, match="found no manifest.json, expected a folder of mas_fast"):
        read_manifest(tmp_path, SCENES)
    for text in ("[1]", "{", '{"kind": "mas_fast scene shards", "format": 1, "options": 3}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="manifest.json: "):
            read_manifest(tmp_path, SCENES)


BEGIN = """
import sys
from mas_fast.data.shards import SCENES, ShardFolder
try:
    ShardFolder(sys.argv[1], SCENES, "tar", {}, 1).begin()
    print("begun")
except ValueError as error:
    print(error)
"""


def test_one_run_at_a_time(tmp_path):
    folder = ShardFolder(tmp_path, SCENES, "tar", {}, 1)
    folder.begin()
    command = [sys.executable, "-c", BEGIN, str(tmp_path)]
    for expected in ("found another run that writes to it", "begun"):
        assert (
            expected in subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )
        folder._lock.close()


def test_the_manifest_lists_what_is_there(tmp_path):
    folder = fill(tmp_path)
    manifest = read_manifest(tmp_path, TOKENS)
    assert [shard["samples"] for shard in manifest["shards"]] == list(COUNTS)
    assert manifest["options"] == options()
    for number, shard in enumerate(manifest["shards"]):
        assert shard["bytes"] == folder.shard(number).stat().st_size
        assert json.loads(folder.sidecar(number).read_text()) == shard
