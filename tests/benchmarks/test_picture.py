"""The subject "picture" on a small model for the 271M shape."""

import json

import pytest

from benchmarks import picture as subject

SMALL = subject.Plan(
    preset="storybook",
    captions=2,
    passes=2,
    blocks=1,
    threads=1,
    decoders=("vq-seg-storybook", "vq-img-storybook"),
)


def test_it_runs_on_a_small_model(capsys) -> None:
    record = subject.run(SMALL)
    shares = record["passes over tokens"]
    assert shares["seg"]["1"] == shares["img"]["1"] == 1
    assert shares["img"]["16"] < 1 / 3
    json.dumps(record, allow_nan=False)
    subject.results.show(record)
    assert "int8: seconds to a picture, acceptance replayed" in capsys.readouterr().out


def test_a_picture_takes_what_its_parts_take() -> None:
    blocks = {"int8, caption": 1.0, "decoder of scenes": 0.5, "decoder of pictures": 0.25}
    for stream in subject.STREAMS:
        for width in subject.WIDTHS:
            blocks[subject.label("int8", stream, width)] = 0.01 * width
    match = subject.Match({name: [subject.Block("", (t,))] for name, t in blocks.items()})
    shares = {name: {w: w**-0.5 for w in subject.WIDTHS} for name in subject.STREAMS}
    shares["img"][16] = 0.05  # at width 16: 0.008 a token
    streams = subject.preset("mini-270m").streams
    parts = subject.parts_of("int8", match, shares, streams)
    assert [*parts.values()] == pytest.approx([1.0, 2.56, 0.5, 2.048, 0.25])
