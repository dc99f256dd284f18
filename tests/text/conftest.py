from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    from bpe_lines import LINES

    file = tmp_path_factory.mktemp("bpe") / "captions.txt"
    file.write_text("\n".join(LINES), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def bpe(text_file):
    from mas_fast.text.bpe import BPE

    return BPE.train([text_file], vocab_size=300, progress=False)
