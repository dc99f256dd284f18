"""data/rejects.py: what did not come through, in one line."""

from mas_fast.data.rejects import count, kind_of, line, read, summary


def test_summary(tmp_path):
    reasons = ["found no annotation, expected one beside the image, or an annotator"] * 8
    reasons += [f"/a b/{n}.jpg: found a truncated or damaged JPEG (at {n})" for n in range(4)]
    reasons += ["found 120 files that are no pictures, such as 'x.xml'"]
    expected = (
        "132 left out: 120 files that are no pictures, 8 no annotation, 4 damaged JPEG: x.tsv"
    )
    assert summary(count(reasons), "x.tsv") == expected
    file = tmp_path / "rejects.tsv"
    file.write_text("".join(line("00000.tar", f"k\t{n}", r) for n, r in enumerate(reasons)))
    assert read(file) == count(reasons)
    assert not read(tmp_path / "none.tsv")


def test_any_other_reason_is_grouped_without_its_particulars():
    reasons = [f"found {n} x 1.5 pixels in '{n}.jpg' of /data/{n}" for n in range(5)]
    assert len(count(reasons)) == 1
    assert count(reasons).total() == 5
    assert len(kind_of("word " * 1000)[0]) <= 80
    many = [f"found {chr(97 + n)}" for n in range(20)]
    assert summary(count(many), "x").endswith(", 12 for others: x")


def test_lines_are_lines_and_steer_no_terminal():
    assert line("a\tb\nc", "\x1b[2J x") == "a b c\t\\x1b[2J x\n"
    assert "\x1b" not in summary(count(["found \x1b[2J"]), "x")
