"""request.py: arguments of every kind, and what is said about the bad ones."""

import dataclasses

import numpy as np
import pytest
import torch

from mas_fast.generation.request import request
from mas_fast.models.gpt_config import preset
from mas_fast.sampling_params import Sampling
from mas_fast.streams import Streams

STREAMS = preset("tiny").streams
PROMPT = torch.tensor(
    [[5, 9, 3, 0, 0, 0, 0, 0], [7, 1, 1, 2, 60, 3, 0, 0], [63, 0, 0, 0, 0, 0, 0, 0]]
)


def test_prompts_of_every_kind():
    expected = request(STREAMS, PROMPT).forced
    assert expected.dtype == np.int32
    assert expected.shape == (3, 40)
    assert (expected[:, :8] == PROMPT.numpy()).all()
    assert (expected[:, 8:] == -1).all()
    ragged = [[5, 9, 3], (7, 1, 1, 2, 60, 3), np.array([63], np.uint16)]
    for prompt in (PROMPT.int(), PROMPT.numpy(), PROMPT.tolist(), ragged, list(PROMPT)):
        assert (request(STREAMS, prompt).forced == expected).all()
    for prompt in ([5, 9, 3], (5, 9, 3), torch.tensor([5, 9, 3]), [[5, 9, 3]]):
        assert (request(STREAMS, prompt).forced == expected[:1]).all()


def test_options_of_one_stream_or_of_all():
    what = request(STREAMS, PROMPT, guidance={"seg": 2}, top_k=5, top_p={"img": 0.5, "text": 0.1})
    seg, img = Sampling(2, top_k=5), Sampling(top_k=5, top_p=0.5)
    assert what.sampling == (Sampling(), seg, img)  # nothing of the prompt is drawn
    assert (what.samples, what.first_sample, what.seed, what.stop) == (1, 0, 0, 40)
    assert what.speculate == "auto"


def test_the_null_caption_is_padding_and_only_there_when_needed():
    assert request(STREAMS, PROMPT).null is None
    assert request(STREAMS, PROMPT, guidance={"text": 3.0}).null is None
    assert request(STREAMS, PROMPT, null=[4]).null is None
    assert request(STREAMS, PROMPT, guidance=3.0).null.tolist() == [[0] * 8] * 3
    one = request(STREAMS, PROMPT, guidance=3.0, null=[4, 5]).null
    assert one.dtype == np.int32
    assert one.tolist() == [[4, 5] + [0] * 6] * 3
    each = request(STREAMS, PROMPT, guidance={"img": 3.0}, null=[[4], [5, 6], [7]]).null
    assert each.tolist() == [[4] + [0] * 7, [5, 6] + [0] * 6, [7] + [0] * 7]


def test_the_guidance_of_each_position():
    def found(guidance):
        return request(STREAMS, PROMPT, guidance=guidance).guidance.tolist()

    assert found(3) == [1.0] * 8 + [3.0] * 32
    assert found({"text": 5.0, "img": 2.0}) == [1.0] * 24 + [2.0] * 16
    slope = [4 - n / 5 for n in range(16)]
    assert found({"seg": [4, 1]}) == pytest.approx([1.0] * 8 + slope + [1.0] * 16, abs=1e-12)
    each = [float(n) for n in range(16)]
    assert found({"seg": each, "img": 0.5}) == [1.0] * 8 + each + [0.5] * 16
    assert request(STREAMS, PROMPT, guidance={"img": (1, 1.0)}).null is None
    what = request(STREAMS, PROMPT, guidance={"img": [3, 2]})
    assert what.sampling == (Sampling(), Sampling(), Sampling(guidance=(3, 2)))


def test_forced_tokens_are_for_all_prompts_or_for_each():
    forced = torch.full((3, 40), -1)
    forced[:, 8] = torch.tensor([1, 2, 3])
    forced[:, 0] = PROMPT[:, 0]
    assert request(STREAMS, PROMPT, forced=forced).forced[:, 8].tolist() == [1, 2, 3]
    one = [-1] * 39 + [7]
    assert request(STREAMS, PROMPT, forced=one).forced[:, 39].tolist() == [7, 7, 7]


def test_without_a_pad_id_captions_are_whole():
    streams = Streams(dataclasses.replace(stream, pad=None) for stream in STREAMS)
    with pytest.raises(ValueError, match="null: found None, expected ids: 'text' has no pad id"):
        request(streams, PROMPT, guidance=2.0)
    with pytest.raises(ValueError, match="prompt: found 3 tokens, expected 8 to 8"):
        request(streams, [1, 2, 3])
    assert request(streams, [1] * 8).forced.shape == (1, 40)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "prompt: empty"),
        ([[]], "prompt: empty"),
        ([[1], []], "prompt: empty"),
        (torch.zeros(0, 8, dtype=torch.int64), r"prompt: empty: found shape \[0, 8\]"),
        ([1] * 9, "prompt: found 9 tokens, expected 1 to 8"),
        ([[1], [1] * 9], "prompt: found 9 tokens"),
        ([64], "prompt: found id 64 in 'text', expected 0 to 63"),
        ([-1], "prompt: found id -1"),
        (np.array([2**63], np.uint64), f"found id {2**63}"),
        ([2**70], "found dtype object, expected integers"),
        ([1.0], "prompt: found dtype float64, expected integers"),
        (torch.tensor([True]), "found dtype bool"),
        (["a", "b"], "found dtype"),
        ("a red house", "found dtype"),
        (None, "found dtype object"),
        (5, r"found shape \[\], expected 1 or 2"),
        (torch.zeros(1, 1, 8, dtype=torch.int64), r"found shape \[1, 1, 8\]"),
    ],
    ids=str,
)
def test_a_bad_prompt_is_named(prompt, message):
    with pytest.raises(ValueError, match=message):
        request(STREAMS, prompt)


FORCED = torch.full((3, 40), -1)


def forced_with(position, value):
    forced = FORCED.clone()
    forced[1, position] = value
    return forced


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"forced": FORCED[:, :39]},
            r"forced: found shape \[3, 39\], expected \[3, 40\] or \[40\]",
        ),
        ({"forced": FORCED[:2]}, r"forced: found shape \[2, 40\]"),
        ({"forced": FORCED.float()}, "forced: found dtype float32"),
        ({"forced": forced_with(8, 32)}, "forced: found id 32 in 'seg', expected -1 to 31"),
        ({"forced": forced_with(39, -2)}, "forced: found id -2 in 'img', expected -1 to 63"),
        ({"forced": forced_with(1, 2)}, r"forced: found 2 at \[1, 1\], where the prompt has 1"),
        ({"null": [[1], [2]]}, "null: found 2 captions, expected one, or 3 as prompts"),
        ({"null": [64]}, "null: found id 64"),
        ({"guidance": float("inf")}, "guidance: found inf, expected a finite"),
        ({"guidance": "3"}, "guidance: found '3'"),
        (
            {"guidance": {"image": 3}},
            r"guidance: found streams \['image'\], expected \['text', 'seg'",
        ),
        ({"guidance": {"seg": None}}, "guidance: found None"),
        ({"guidance": []}, r"guidance: found \[\], expected a number, or two or more in a list"),
        ({"guidance": [2.0]}, r"guidance: found \[2.0\], expected a number, or two"),
        ({"guidance": {"img": [1, float("nan")]}}, "guidance: found nan, expected a finite"),
        ({"guidance": [1] * 17}, "guidance: found a schedule of 17 numbers, expected at most 16"),
        ({"score_forced": 1}, "score_forced: found 1, expected True or False"),
        ({"temperature": -0.5}, "temperature: found -0.5, expected a finite number >= 0"),
        ({"temperature": float("nan")}, "temperature: found nan"),
        ({"temperature": {"text": -1}}, "temperature: found -1"),
        ({"top_k": 0}, "top_k: found 0, expected an integer >= 1"),
        ({"top_k": 2.5}, "top_k: found 2.5"),
        ({"top_p": 0}, r"top_p: found 0, expected None or a number in \(0, 1\]"),
        ({"top_p": {"img": 1.1}}, "top_p: found 1.1"),
        ({"seed": -1}, "seed: found -1, expected an integer in 0.."),
        ({"seed": 2**64}, "seed: found 18446744073709551616"),
        ({"seed": 0.5}, "seed: found 0.5"),
        ({"num_samples": 0}, "num_samples: found 0"),
        ({"first_sample": -1}, "first_sample: found -1"),
        ({"first_sample": 2**32, "num_samples": 1}, "first_sample: found 4294967296"),
        ({"stop": 7}, "stop: found 7, expected an integer in 8..40"),
        ({"stop": 41}, "stop: found 41"),
        ({"speculate": 0}, "speculate: found 0, expected 'auto' or an integer in 1..32"),
        ({"speculate": 33}, "speculate: found 33"),
        ({"speculate": True}, "speculate: found True"),
        ({"speculate": 2.0}, "speculate: found 2.0"),
        ({"speculate": "8"}, "speculate: found '8'"),
        ({"speculate": None}, "speculate: found None"),
    ],
    ids=str,
)
def test_a_bad_argument_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        request(STREAMS, PROMPT, **options)
