"""data/token_shards.py: shards and manifests that are not what they say are refused at once."""

import copy
import json
import os

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="token shards need pyarrow")

from mas_fast.data import token_shards as module  # noqa: E402
from mas_fast.data.shards import SCENES, TOKENS, ShardFolder, read_manifest, read_sidecar, sha256  # noqa: E402  # noqa: E402
from mas_fast.data.token_shards import TokenShards, token_batch, write_tokens  # noqa: E402
from mas_fast.streams import Stream, Streams  # noqa: E402

STREAMS = Streams(
    [Stream("text", 5, 300, pad=0), Stream("seg", 4, 32, grid=(2, 2)), Stream("img", 9, 64)]
)
ROWS = 4


def batch(**changes):
    random = np.random.default_rng(0)

    def ids(name: str, n: int) -> np.ndarray:
        return random.integers(STREAMS[name].vocab, size=(n, STREAMS[name].length))

    rows = {
        "keys": [f"k{n}" for n in range(ROWS)],
        "captions": [["x y z"] * n for n in range(ROWS)],
        "text": [ids("text", max(n, 1)) for n in range(ROWS)],
        "seg": ids("seg", ROWS),
        "img": ids("img", ROWS),
    }
    return token_batch(STREAMS, **{**rows, **changes})


def fill(path, write=None) -> ShardFolder:
    folder = ShardFolder(
        path, TOKENS, "arrow", {"format": "arrow", "streams": STREAMS.to_list()}, 1
    )
    folder.begin()
    folder.commit(0, write or (lambda file: write_tokens(file, batch())))
    folder.finish()
    folder._lock.close()
    return folder


def believe(folder: ShardFolder) -> None:
    """Put the shard's size and checksum into the manifest."""
    manifest = json.loads((folder.path / "manifest.json").read_text())
    file = folder.shard(0)
    manifest["shards"][0] |= {"bytes": file.stat().st_size, "sha256": sha256(file)}
    (folder.path / "manifest.json").write_text(json.dumps(manifest))


def test_every_flipped_bit_is_found(tmp_path):
    file = fill(tmp_path).shard(0)
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="00000.arrow: found sha256 .* expected .* remove it"):
            TokenShards(tmp_path)
    file.write_bytes(whole)
    assert len(TokenShards(tmp_path)) == ROWS


def test_offsets_that_lead_out_of_the_file_are_refused(tmp_path):
    """Also where the manifest agrees with the file: nothing follows them."""
    folder = fill(tmp_path)
    file = folder.shard(0)
    whole = file.read_bytes()
    offsets = np.array([0, 0, 1, 3, 6], "<i4").tobytes()  # captions of the rows
    rows = np.array([0, 1, 2, 4, 7], "<i4").tobytes()  # of tokens
    assert whole.count(offsets) == whole.count(rows) == 1
    for old in (offsets, rows):
        for number in (-1, -(2**31), 2**31 - 1, 10**6, 0):
            new = old[:-4] + np.int32(number).tobytes()
            file.write_bytes(whole.replace(old, new))
            believe(folder)
            with pytest.raises(ValueError, match="00000.arrow: "):
                TokenShards(tmp_path)


def test_checksums_are_computed_once(tmp_path, monkeypatch):
    folder = fill(tmp_path)
    read = []
    monkeypatch.setattr(module, "sha256", lambda file: read.append(file.name) or sha256(file))
    TokenShards(tmp_path)
    assert read == ["00000.arrow"]
    TokenShards(tmp_path)
    assert read == ["00000.arrow"]
    os.utime(folder.shard(0))  # perhaps another file
    TokenShards(tmp_path)
    assert len(read) == 2
    for damage in ("", "[]", '{"streams": 3}', '{"streams": null, "files": []}'):
        (tmp_path / module.CHECKED).write_text(damage)
        TokenShards(tmp_path)
    assert len(read) == 6
    TokenShards(tmp_path).verify()
    assert len(read) == 7


def test_a_folder_that_is_only_read(tmp_path, monkeypatch):
    fill(tmp_path)

    def refused(file, values):
        raise OSError(30, "Read-only file system", str(file))

    monkeypatch.setattr(module, "write_json", refused)
    assert len(TokenShards(tmp_path)) == ROWS
    assert module.CHECKED not in os.listdir(tmp_path)


def test_ids_within_the_vocabulary_that_were_altered(tmp_path):
    file = fill(tmp_path).shard(0)
    TokenShards(tmp_path)
    seg = np.ascontiguousarray(batch()["seg"].values.to_numpy()).tobytes()
    file.write_bytes(file.read_bytes().replace(seg, seg[::-1][1:] + seg[:1]))
    with pytest.raises(ValueError, match="00000.arrow: found sha256"):
        TokenShards(tmp_path)


@pytest.mark.parametrize(
    ("stream", "row", "key"), [("text", 2, "k2"), ("seg", 1, "k1"), ("img", 3, "k3")]
)
def test_an_id_outside_the_vocabulary_is_named(tmp_path, stream, row, key):
    text = [np.zeros((max(n, 1), 5), np.int64) for n in range(ROWS)]
    ids = {"text": text, "seg": np.zeros((ROWS, 4), int), "img": np.zeros((ROWS, 9), int)}
    ids[stream][row][-1:] = 400
    folder = fill(tmp_path, lambda file: write_tokens(file, batch(**ids)))
    vocab = STREAMS[stream].vocab
    message = (
        f"00000.arrow: {stream}: found id 400, expected 0..{vocab - 1}, in row {row} .key '{key}'"
    )
    with pytest.raises(ValueError, match=message):
        TokenShards(tmp_path)
    file = folder.shard(0)  # whoever says that it was checked: also when the row is read
    mark = [file.stat().st_size, file.stat().st_mtime_ns, sha256(file)]
    checked = {"streams": STREAMS.to_list(), "files": {"00000.arrow": mark}}
    (tmp_path / module.CHECKED).write_text(json.dumps(checked))
    tokens = TokenShards(tmp_path)
    with pytest.raises(ValueError, match=message):
        tokens[row]


def test_a_file_that_becomes_shorter_while_it_is_mapped(tmp_path):
    file = fill(tmp_path).shard(0)
    tokens = TokenShards(tmp_path)
    size = file.stat().st_size
    assert len(tokens[0].img)
    os.truncate(file, 0)
    for read in (tokens.__getitem__, tokens.key, tokens.captions):
        with pytest.raises(ValueError, match=f"00000.arrow: found 0 bytes, expected {size}"):
            read(1)


def write(batches, schema=None, **options):
    def to(file) -> dict:
        settings = pa.ipc.IpcWriteOptions(**options)
        with pa.OSFile(str(file), "wb") as sink:
            with pa.ipc.new_file(sink, schema or batches[0].schema, options=settings) as writer:
                for item in batches:
                    writer.write_batch(item)
        return {"samples": ROWS}

    return to


def with_column(name: str, column) -> pa.RecordBatch:
    whole = batch()
    columns = [column if field.name == name else whole[field.name] for field in whole.schema]
    return pa.RecordBatch.from_arrays(columns, schema=whole.schema)


def test_other_layouts_are_refused(tmp_path):
    whole = batch()
    nulls = pa.array([None, "b", "c", "d"], pa.string())
    kind = whole.schema.field("seg").type
    seg = pa.array([[0, 1, 2, 3], None, [0] * 4, [0] * 4], kind)
    coded = whole["key"].dictionary_encode()
    fields = [pa.field("key", coded.type, nullable=False), *list(whole.schema)[1:]]
    dictionary = pa.RecordBatch.from_arrays([coded, *whole.columns[1:]], schema=pa.schema(fields))
    few = pa.array([["x"]] * ROWS, whole.schema.field("captions").type)
    for number, (content, message) in enumerate(
        (
            (write([whole, whole]), "found 2 batches of .* expected one of the columns"),
            (write([], whole.schema), "found 0 batches"),
            (write([whole.slice(0, 3)]), "found 3 rows, expected 4"),
            (write([dictionary]), "found 1 batches of .*dictionary.* expected one of the columns"),
            (write([with_column("key", nulls)]), "key: found 1 nulls"),
            (write([with_column("seg", seg)]), "seg: found 1 nulls"),
            (write([with_column("captions", few)]), "text: found 2 rows of tokens for 1 captions"),
            (write([whole], compression="zstd"), "found it compressed, expected it plain"),
            (lambda file: {"samples": ROWS * file.write_bytes(b"") or ROWS}, "empty file"),
        )
    ):
        fill(tmp_path / str(number), content)
        with pytest.raises(ValueError, match=f"00000.arrow: .*{message}"):
            TokenShards(tmp_path / str(number))


MANIFESTS = [
    (lambda m: m.pop("shards"), "has not come to its end"),
    (lambda m: m.update(shards={}), "shards: found dict, expected a list"),
    (lambda m: m.update(shards=[3]), "shard 0: found 3, expected an object"),
    (
        lambda m: m["shards"][0].pop("samples"),
        r"shard 0: found the keys .*, expected \['samples'\] too",
    ),
    (lambda m: m["shards"][0].update(samples=-1), "samples: found -1, expected an integer in 0"),
    (lambda m: m["shards"][0].update(samples=2**63), "samples: found 9223372036854775808"),
    (lambda m: m["shards"][0].update(samples=10**400), "samples: found 1000"),
    (lambda m: m["shards"][0].update(samples=4.0), "samples: found 4.0, expected an integer"),
    (lambda m: m["shards"][0].update(samples=True), "samples: found True, expected an integer"),
    (lambda m: m["shards"][0].update(samples="4"), "samples: found '4', expected an integer"),
    (lambda m: m["shards"][0].update(samples=3), "found 4 rows, expected 3"),
    (lambda m: m["shards"][0].update(bytes=None), "bytes: found None, expected an integer"),
    (lambda m: m["shards"][0].update(bytes=7), r"00000.arrow: found \d+ bytes, expected 7"),
    (lambda m: m["shards"][0].update(sha256="x"), "sha256: found 'x', expected 64 hexadecimal"),
    (lambda m: m["shards"][0].update(file="../00000.arrow"), "file: found '../00000.arrow'"),
    (lambda m: m["shards"][0].update(file="/etc/passwd"), "file: found '/etc/passwd', expected"),
    (lambda m: m["shards"][0].update(file=3), "file: found 3, expected 00000.tar or 00000.arrow"),
    (lambda m: m["shards"].append(m["shards"][0]), "shard 1: file: found '00000.arrow', expected"),
    (lambda m: m["options"].pop("streams"), "streams: found NoneType, expected a list"),
    (lambda m: m["options"].update(streams=[3]), "stream: found int, expected a mapping"),
    (lambda m: m["options"]["streams"].pop(), r"streams: found \['text', 'seg'\], expected"),
    (lambda m: m["options"]["streams"][2].update(vocab=65537), "img: found a vocabulary of 65537"),
    (lambda m: m["options"]["streams"][2].update(length=10), "00000.arrow: found 1 batches of"),
    (lambda m: m.update(options=[]), "manifest.json: found 'mas_fast token shards', format 1"),
    (lambda m: m.update(kind=["x"] * 10**5), r"manifest.json: found \['x', 'x'"),
]


@pytest.mark.parametrize(("change", "message"), MANIFESTS)
def test_a_bad_manifest_is_named(tmp_path, change, message):
    fill(tmp_path)
    file = tmp_path / "manifest.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=message) as error:
        TokenShards(tmp_path)
    assert len(str(error.value)) < 1000


def test_a_manifest_of_scenes_and_its_sidecars(tmp_path):
    facts = {"samples": 1, "statistics": {}, "rejects": [["k", "no image"]]}
    folder = ShardFolder(tmp_path, SCENES, "tar", {}, 1)
    folder.begin()
    folder.commit(0, lambda file: facts if file.write_bytes(b"x") else {})
    manifest = folder.finish()
    for change, message in MANIFESTS[2:4] + MANIFESTS[11:12]:
        values = copy.deepcopy(manifest)
        change(values)
        (tmp_path / "manifest.json").write_text(json.dumps(values))
        with pytest.raises(ValueError, match=f"manifest.json: .*{message}"):
            read_manifest(tmp_path, SCENES)
    file = folder.sidecar(0)
    whole = json.loads(file.read_text())
    for change, message in (
        ({"rejects": 3}, "rejects: found 3, expected a list"),
        ({"rejects": [["k"]]}, r"rejects: found \['k'\], expected \[key, reason\]"),
        ({"rejects": [["k", None]]}, r"expected \[key, reason\]"),
        ({"file": "../x.tar"}, "file: found '../x.tar'"),
        ({"samples": -1}, "samples: found -1"),
    ):
        file.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ValueError, match=f"00000.json: .*{message}"):
            read_sidecar(file, SCENES)
    for name in ("statistics", "rejects", "bytes"):
        file.write_text(json.dumps({key: whole[key] for key in whole if key != name}))
        with pytest.raises(ValueError, match=f"00000.json: found .*{name}"):
            read_sidecar(file, SCENES)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    folder._lock.close()
    assert ShardFolder(tmp_path, SCENES, "tar", {}, 1).begin() == [0]  # it is made again
