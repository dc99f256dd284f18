"""bpe_files.py: no tokenizer.json ends the process, asks for all memory, takes hours, or loses text
without a word."""

import base64
import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mas_fast.bundle import SHIPPED
from mas_fast.text.bpe import BPE
from mas_fast.text.bpe_files import byte_names

SHIPPED_FILE = SHIPPED / "tokenizer.json"
TEXTS = ["a red house " + "a" * 30 + "!", "x" * 30 + " 빨간"]


@pytest.fixture(scope="module")
def good() -> dict:
    return json.loads(SHIPPED_FILE.read_bytes())


def write(path: Path, values: object) -> Path:
    file = path / "tokenizer.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def token(content: str, number: int) -> dict:
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": number, "content": content} | dict.fromkeys(flags, False)


def last(number: object):
    def change(values: dict) -> None:
        vocab = values["model"]["vocab"]
        vocab[list(vocab)[-1]] = number

    return change


def set_to(*path: str, value: object):
    def change(values: dict) -> None:
        for name in path[:-1]:
            values = values[name]
        values[path[-1]] = value

    return change


def added(*tokens: dict):
    return lambda values: values["added_tokens"].extend(tokens)


def replace(pattern: dict, content: str, times: int = 1) -> dict:
    step = {"type": "Replace", "pattern": pattern, "content": content}
    return {"type": "Sequence", "normalizers": [step] * times}


def padding(length: int) -> dict:
    own = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
    return own | {"strategy": {"Fixed": length}, "pad_token": "[PAD]"}


def precompiled(data: bytes) -> dict:
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


def template(name: str) -> dict:
    single = [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}


def other_model(kind: str, **values: object):
    vocab = {"[PAD]": 0, "a": 1}
    return set_to("model", value={"type": kind, "vocab": vocab, "unk_token": "[UNK]"} | values)


REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
BERT = {"type": "BertProcessing", "sep": ["[SEP]", 99], "cls": ["[CLS]", 2**32 - 1]}
WORDPIECE = {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
BAD = {
    "id 2^31": (last(2**31), "found the id 2147483648, expected a whole number below 4194304"),
    "id 2^32 - 1": (last(2**32 - 1), "found the id 4294967295"),
    "id 2^70": (last(2**70), "found the id 1180591620717411303424"),
    "id -1": (last(-1), "found the id -1"),
    "id true": (last(True), "found the id True"),
    "id text": (last("7" * 999), "found the id '7777"),
    "id twice": (last(5), "found the id 5 for both"),
    "id null": (last(None), "found the id None"),
    "vocab": (set_to("model", "vocab", value=3), "model: found no vocab"),
    "model": (set_to("model", value=[]), "model: found no vocab"),
    "merge": (set_to("model", "merges", value=[["qqq", "zzz"]]), "Token `qqq` out of vocabulary"),
    "prefix": (set_to("model", "continuing_subword_prefix", value="ééééé"), "gave up|Merge"),
    "dropout": (set_to("model", "dropout", value=5.0), "Dropout should be between 0 and 1"),
    "added with another id": (added(token("house", 5)), "added_tokens|found the id"),
    "added id 2^32 - 1": (added(token("qq", 2**32 - 1)), "found the id 4294967295"),
    "added in a hole": (added(token("qq", 4000)), "found the id 4000, expected 640"),
    "added nothing": (added(token("", 640)), "expected some content"),
    "added text": (set_to("added_tokens", value=["a"]), "found no list of objects"),
    "pad to 2^40": (set_to("padding", value=padding(2**40)), "length: found 1099511627776, expec"),
    "pad to 2^64": (
        set_to("padding", value=padding(2**64)),
        "tokenizer.json: found no tokenizer in it: ",
    ),
    "growth": (
        set_to("normalizer", value=replace({"String": "a"}, "a" * 10, 12)),
        "a text can become 1000000000000 times as long, expected at most 1000",
    ),
    "growth by nothing": (
        set_to("normalizer", value=replace({"Regex": ""}, "a" * 100, 2)),
        "a text can become 10201 times as long",
    ),
    "long prefix": (
        set_to("normalizer", value={"type": "Prepend", "prepend": "x" * 10**6}),
        "Prepend: prepend: found 1000000 characters, expected at most 4096",
    ),
    "many": (
        set_to("normalizer", value={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 99}),
        "found 1.. normalizers and the like, expected 64",
    ),
    "template": (set_to("post_processor", value=template("[CLS]")), "gave up"),
    "template id": (set_to("post_processor", value=BERT), "found the id 4294967295"),
    "chunks of 0": (
        set_to("pre_tokenizer", value={"type": "FixedLength", "length": 0}),
        "gave up|ByteLevel",
    ),
    "no table": (set_to("normalizer", value=precompiled(b"abc")), "that are no such table"),
    "table of 4 GB": (set_to("normalizer", value=precompiled(b"\xff" * 8)), "no such table"),
    "no base64": (
        set_to("normalizer", value={"type": "Precompiled", "precompiled_charsmap": "é"}),
        "found no base64",
    ),
    "broken table": (
        set_to("normalizer", value=precompiled(b"\4\0\0\0abcdefgh")),
        "gave up: index",
    ),
    "wordpiece": (other_model("WordPiece", **WORDPIECE), "Missing \\[UNK\\] token"),
    "wordlevel": (other_model("WordLevel"), "Missing \\[UNK\\] token"),
    "no entries": (
        lambda values: values["model"].update(vocab={}, merges=[]),
        "found no entries for|found the id",
    ),
    "surrogate": (added(token("\ud800", 640)), "tokenizer.json: found no tokenizer in it: "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_harms_is_refused(tmp_path, good, name):
    change, message = BAD[name]
    values = copy.deepcopy(good)
    change(values)
    file = write(tmp_path, values)
    with pytest.raises(ValueError, match=message) as error:
        BPE.load(file)
    assert str(error.value).startswith(f"{file}: ")
    assert len(str(error.value)) < 2500


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"model": ' * 5000, "1" * 5000, "NaN", "[]", "null", '{"a": NaN}']
)
def test_what_is_no_object_is_refused(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json: found no tokenizer in it: "):
        BPE.load(file)


def test_a_regex_that_gives_up_is_an_error_of_the_text(tmp_path, good):
    """Only a text shows it: the file has nothing wrong to see."""
    values = copy.deepcopy(good)
    values["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [REGEX, good["pre_tokenizer"]]}
    bpe = BPE.load(write(tmp_path, values))
    for dropout in (0.0, 0.1):
        with pytest.raises(ValueError, match=r"tokenizer\.json: the library gave up: Onig"):
            bpe.encode(TEXTS, dropout=dropout, generator=np.random.default_rng(0))


def test_settings_of_the_file_do_not_reach_the_ids(tmp_path, good):
    """Of cutting, padding and dropout, the length alone is the file's."""
    values = copy.deepcopy(good)
    limits = {"direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 2}
    values["truncation"] = limits
    values["padding"] = padding(9) | {"direction": "Left", "pad_to_multiple_of": 0}
    values["model"]["dropout"] = 1.0
    bpe, own = BPE.load(write(tmp_path, values)), BPE.load(SHIPPED_FILE, length=9)
    assert bpe.length == 9
    assert (bpe.encode(TEXTS).ids == own.encode(TEXTS).ids).all()


# ---------------------------------------------------------------------- what would be lost


def trained(path: Path, **options: object) -> Tokenizer:
    """By the library's default, which takes only the bytes that it sees."""
    tokenizer = Tokenizer(models.BPE(unk_token=options.pop("unk_token", None)))
    tokenizer.normalizer = options.pop("normalizer", None)
    tokenizer.pre_tokenizer = options.pop(
        "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False)
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["[PAD]", "[UNK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, show_progress=False, **options
    )
    tokenizer.train_from_iterator(["a red house beside a lake"] * 9, trainer)
    tokenizer.save(str(path / "tokenizer.json"))
    return tokenizer


def test_missing_bytes_are_refused_by_name(tmp_path):
    trained(tmp_path)
    with pytest.raises(ValueError, match=r"no entries for 2\d\d bytes \(.*'z'") as error:
        BPE.load(tmp_path)
    assert "initial_alphabet=ByteLevel.alphabet()" in str(error.value)


@pytest.mark.parametrize("lost", ["z", "A", " ", "\n", "é"])
def test_one_missing_byte_is_refused(tmp_path, lost):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    names = byte_names()
    assert sorted(names) == sorted(alphabet)
    tokenizer = trained(tmp_path, initial_alphabet=alphabet)
    assert BPE.load(tmp_path).encode(["a zebra É"]).ids.any()
    values = json.loads(tokenizer.to_str())
    byte = lost.encode()[-1]
    number = values["model"]["vocab"].pop(names[byte])
    values["model"]["vocab"]["zzz"] = number
    values["model"]["merges"] = []
    shown = repr(lost) if lost in "zA " else f"0x{byte:02x}"
    with pytest.raises(ValueError, match=f"no entries for 1 bytes \\({shown}\\)"):
        BPE.load(write(tmp_path, values))


def test_capitals_need_no_entry_where_case_is_lowered(tmp_path):
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    lower = [c for c in alphabet if not "A" <= c <= "Z"]
    trained(tmp_path, initial_alphabet=lower, normalizer=normalizers.Lowercase())
    bpe = BPE.load(tmp_path)
    assert bpe.decode(bpe.encode(["A ZEBRA"]).ids) == ["a zebra"]
    trained(tmp_path, initial_alphabet=lower)
    with pytest.raises(ValueError, match="no entries for 26 bytes"):
        BPE.load(tmp_path)


def test_characters_without_an_unknown_token_are_refused(tmp_path):
    trained(tmp_path, pre_tokenizer=pre_tokenizers.Whitespace())
    with pytest.raises(ValueError, match="unk_token: found none, and a BPE of characters"):
        BPE.load(tmp_path)


@pytest.mark.parametrize("kind", ["bytes", "characters"])
def test_what_is_read_as_unknown_is_told_once(tmp_path, kind):
    other = {} if kind == "bytes" else {"pre_tokenizer": pre_tokenizers.Whitespace()}
    trained(tmp_path, unk_token="[UNK]", **other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bpe = BPE.load(tmp_path)
        bpe.encode(["a red house"])
    with pytest.warns(UserWarning, match=r"in 1 of 2 texts .* read as '\[UNK\]', as in 'a zebra'"):
        bpe.encode(["a red house", "a zebra"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bpe.encode(["a zebra"])


def test_our_own_tells_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BPE.load(SHIPPED_FILE).encode(["\0 a zebra, 빨간 집 🏠"])
