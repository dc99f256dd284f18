"""utils/yaml_documents.py, and training/settings.py over it: plain values or a short ValueError."""

import json
import time
from dataclasses import dataclass

import pytest

from mas_fast.training.settings import Settings, read
from mas_fast.utils.yaml_documents import MOST_BYTES, parse_yaml, read_yaml


def aliases(depth: int) -> str:
    """Ten to the power of `depth` values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, depth):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases(5), "found more than 20000 values"),
        (aliases(12), "found more than 20000 values"),
        (f"a: &a {'x' * 90_000}\nb: [{', '.join(['*a'] * 10)}]", "more than 20000 values"),
        (aliases(6).replace("x", "{}"), "found more than 20000 values"),
        ("a: &a {x: *a}", "found \\*a inside what it names"),
        ("[" * 5000, "nested deeper than 64"),
        ("- " * 5000, "nested deeper than 64"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: found the key 'a' twice"),
        ("a: {b: 1, b: 2}", "found the key 'b' twice"),
        ("1: 1\n1.0: 2", "found the key 1.0 twice"),
        ('d: !!timestamp "x"', "could not determine a constructor for the tag"),
        ("d: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ('!!int ""', "IndexError"),
        ('!!bool "x"', "KeyError"),
        ("? [a]\n: 1", "unhashable key"),
        ("0x" + "f" * 5000, "an integer of more than 64 bits"),
        ("9" * 5000, "Exceeds the limit"),
        ('"\\ud800"', "found the lone surrogate"),
        ("a: [", "line 1, column 5"),
    ],
)
def test_yaml_that_is_refused(tmp_path, text, message):
    start = time.process_time()
    with pytest.raises(ValueError, match=message) as error:
        parse_yaml(text, "f.yaml")
    assert str(error.value).startswith("f.yaml: ")
    assert len(str(error.value)) < 400
    assert time.process_time() - start < 5
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(ValueError, match="f.yaml: ") as error:
        read(Settings, tmp_path / "f.yaml")
    assert len(str(error.value)) < 1000


def test_yaml_that_is_read(tmp_path):
    text = "a: &a {x: 1}\nb: {<<: *a, x: 2, y: [*a, 2026-13-45, .5, 1_000, 0x10, ~, yes]}"
    y = [{"x": 1}, "2026-13-45", 0.5, 1000, 16, None, True]
    assert parse_yaml(text, "f") == {"a": {"x": 1}, "b": {"x": 2, "y": y}}
    json.dumps(parse_yaml(text, "f"))
    (tmp_path / "large.yaml").write_text("#" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match="large.yaml: found 262145 bytes, expected at most 262144"):
        read_yaml(tmp_path / "large.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="latin.yaml: .*expected UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
    with pytest.raises(ValueError, match="absent.yaml: found no readable YAML: No such file"):
        read_yaml(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (f"folder: x\nprecision: bf16\nsteps: [{', '.join(['x' * 1000] * 100)}]", "expected int"),
        (f"folder: x\nsteps: 1\nprecision: {'x' * 100_000}", "expected one of"),
        (f"folder: x\nsteps: 1\n{'x' * 900}: 1\n{'y' * 900}: 1", "found unknown keys"),
        (f"folder: {{a: {'x' * 100_000}}}\nsteps: 1", "expected Path"),
    ],
)
def test_settings_show_little_of_what_is_wrong(tmp_path, lines, message):
    (tmp_path / "f.yaml").write_text(f"{lines}\n")
    with pytest.raises(ValueError, match=f"f.yaml: .*{message}") as error:
        read(Settings, tmp_path / "f.yaml")
    assert len(str(error.value)) < 800


def test_an_override_is_bounded_too():
    for text in ("[" * 5000, aliases(6).replace("\n", ", ").join("{}"), "{a: 1, a: 2}"):
        with pytest.raises(ValueError, match="--steps: found no readable YAML") as error:
            read(Settings, None, ["--folder", "x", f"--steps={text}"])
        assert len(str(error.value)) < 400


@dataclass(frozen=True)
class Two:
    one: dict
    two: dict


def test_an_override_reaches_one_place_where_the_file_has_an_alias(tmp_path):
    (tmp_path / "f.yaml").write_text("one: &a {x: {y: 1}, z: 3}\ntwo: *a\n")
    whole, changed = {"x": {"y": 1}, "z": 3}, {"x": {"y": 2}, "z": 3}
    found = read(Two, tmp_path / "f.yaml", ["--one.x.y", "2"])
    assert found == Two(changed, whole)
    found = read(Two, tmp_path / "f.yaml", ["--two.x.y", "2"])
    assert found == Two(whole, changed)
    (tmp_path / "f.yaml").write_text("one: {x: &b {y: 1}, z: *b}\ntwo: {<<: {x: *b}}\n")
    found = read(Two, tmp_path / "f.yaml", ["--one.z.y", "2"])
    assert found == Two({"x": {"y": 1}, "z": {"y": 2}}, {"x": {"y": 1}})


def test_an_override_of_any_depth_is_no_recursion(tmp_path):
    with pytest.raises(ValueError, match="--folder.a.a.*nested deeper than 64"):
        read(Settings, None, ["--folder" + ".a" * 5000, "1"])
