"""streams.py: offsets, what predicts what, validation."""

import pytest

from mas_fast.streams import Stream, Streams

TEXT = Stream("text", 8, 64, loss_weight=1.0, pad=0)
SEG = Stream("seg", 6, 32, (2, 3))
IMG = Stream("img", 16, 64, (4, 4), loss_weight=7.0)
STREAMS = Streams([TEXT, SEG, IMG])


def test_a_sequence_is_its_streams_in_order():
    assert STREAMS.length == 30
    assert len(STREAMS) == 3
    assert STREAMS.names == ("text", "seg", "img")
    assert list(STREAMS) == [TEXT, SEG, IMG]
    assert STREAMS[1] is STREAMS["seg"] is SEG
    assert STREAMS.index("img") == 2
    assert [STREAMS.offset(name) for name in STREAMS.names] == [0, 8, 14]
    assert STREAMS.slice("seg") == slice(8, 14)
    assert [
        STREAMS.at(n).name for n in (0, 7, 8, 13, 14, 29)
    ] == "text text seg seg img img".split()


@pytest.mark.parametrize("count", [None, *range(1, 31)])
def test_position_n_predicts_n_plus_1(count):
    positions = range(STREAMS.length if count is None else count)
    for name in STREAMS.names:
        where = STREAMS.predicting(name, count)
        expected = [n for n in positions if n < 29 and STREAMS.at(n + 1).name == name]
        assert list(range(where.start, where.stop)) == expected


def test_a_first_stream_of_one_token_is_never_predicted():
    streams = Streams([Stream("label", 1, 10), Stream("img", 4, 8)])
    assert streams.predicting("label") == slice(0, 0)
    assert streams.predicting("img") == slice(0, 4)


def test_round_trip_through_plain_values():
    rows = STREAMS.to_list()
    assert rows[1]["grid"] == [2, 3]
    assert rows[0]["grid"] is None
    assert Streams.from_list(rows) == STREAMS
    assert hash(Streams.from_list(rows)) == hash(STREAMS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a.b"}, "found 'a.b', expected an identifier"),
        ({"length": 0}, "length: found 0, expected an integer in 1..1048576"),
        ({"length": True}, "length: found True"),
        ({"vocab": 2.0}, "vocab: found 2.0"),
        ({"vocab": 1 << 23}, "vocab: found 8388608, expected an integer in 1..4194304"),
        ({"grid": (2, 2)}, r"grid: found \(2, 2\), expected height x width = 6"),
        ({"grid": 6}, r"grid: found 6, expected \(height, width\)"),
        ({"grid": (6.0, 1)}, "grid: found 6.0"),
        ({"loss_weight": -1}, "loss_weight: found -1"),
        ({"loss_weight": float("nan")}, "loss_weight: found nan, expected a finite number >= 0"),
        ({"loss_weight": 10**400}, "loss_weight: found 10"),
        ({"loss_weight": True}, "loss_weight: found True"),
        ({"pad": 32}, "pad: found 32, expected an integer in 0..31"),
    ],
)
def test_an_unfit_stream_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        Stream(**{"name": "seg", "length": 6, "vocab": 32, **values})


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "found 0 tokens in all"),
        ([Stream("a", 1, 5)], "found 1 tokens in all, expected at least 2"),
        ([Stream(name, 1 << 19, 5) for name in "abc"], "1572864 tokens in all, expected .*1048576"),
        ([Stream(f"s{i}", 1, 5) for i in range(65)], "found 65, expected at most 64"),
        ([TEXT, TEXT], r"\['text', 'text'\], expected distinct"),
        ([Stream("a", 2, 5, loss_weight=0)], "no loss_weight above 0"),
        (["text"], "found 'text', expected Stream"),
    ],
)
def test_unfit_streams_are_named(items, message):
    with pytest.raises(ValueError, match=message):
        Streams(items)


def test_unknown_keys_names_and_positions_are_errors():
    row = STREAMS.to_list()[0]
    with pytest.raises(ValueError, match=r"found unknown keys \['colour'\]"):
        Streams.from_list([row | {"colour": 1}])
    with pytest.raises(ValueError, match=r"found no keys \['vocab'\]"):
        Streams.from_list([{key: value for key, value in row.items() if key != "vocab"}])
    with pytest.raises(ValueError, match="found dict, expected a list"):
        Streams.from_list(row)
    with pytest.raises(
        ValueError, match=r"found 'image', expected one of \['text', 'seg', 'img'\]"
    ):
        STREAMS.slice("image")
    for position in (-1, 30):
        with pytest.raises(ValueError, match=rf"position: found {position}, expected .* 0..29"):
            STREAMS.at(position)
