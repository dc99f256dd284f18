"""What several files here train on, and a toy that was trained."""

from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def event_files_in_order() -> None:
    """Event files of one process and second are told apart by a counter, and read in the order of
    their names as text, where 10 comes before 9."""
    from tensorboard.summary.writer import event_file_writer

    event_file_writer._global_uid = event_file_writer.AtomicCounter(100_000)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    from mas_fast.text.bpe import BPE

    file = tmp_path_factory.mktemp("captions") / "captions.txt"
    file.write_text("a red house beside the lake\ntwo dogs on a long road at dusk\n" * 4)
    return BPE.train([file], vocab_size=280, length=6, progress=False)


@pytest.fixture(scope="module")
def shards(tmp_path_factory, bpe) -> Path:
    """22 samples with one or two captions of one to six words."""
    import numpy as np

    from gpt_runs import STREAMS, WORDS, write_shards

    random = np.random.default_rng(0)
    captions = [
        [" ".join(random.choice(WORDS, random.integers(1, 5))) for _ in range(1 + i % 2)]
        for i in range(22)
    ]
    ids = {
        n: random.integers(STREAMS[n].vocab, size=(22, STREAMS[n].length)) for n in ("seg", "img")
    }
    rows = {"keys": [f"sample-{i}" for i in range(22)], "captions": captions}
    rows |= {"text": [bpe.encode(texts).ids for texts in captions], **ids}
    return write_shards(tmp_path_factory.mktemp("tokens") / "tokens", STREAMS, rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, bpe) -> Path:
    """The tokenizers of `shards`, at random."""
    from mas_fast.bundle import save_bpe, save_vq
    from mas_fast.models.vqvae import VQVAE
    from mas_fast.models.vqvae import preset as vq_preset

    folder = tmp_path_factory.mktemp("bundle")
    save_bpe(folder, bpe)
    for name, resolution in (("seg", 8), ("img", 16)):
        config = replace(vq_preset(f"tiny-{name}"), resolution=resolution)
        save_vq(folder, f"vq_{name}", VQVAE.create(config))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A toy's run that nothing interrupted."""
    from toy_runs import toy

    folder = tmp_path_factory.mktemp("whole")
    toy(folder).run()
    return folder
