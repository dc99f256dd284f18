"""cores.py: what the engine counts (see test_thread_pool), and what is refused."""

import os

import pytest

from mas_fast.utils import cores, native


def test_available(monkeypatch) -> None:
    own = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(own)})
        assert cores.available() == native.engine().available_threads() == 1
    finally:
        os.sched_setaffinity(0, own)
    monkeypatch.setattr(native, "problem", lambda library: "not built")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores.available() == 8


@pytest.mark.parametrize("most", [1, 2, 8])
def test_check_threads(monkeypatch, most) -> None:
    monkeypatch.setattr(cores, "available", lambda: most)
    assert [cores.check_threads(n) for n in (0, 1, most)] == [0, 1, most]
    for wrong in (-1, most + 1):
        allowed = rf"threads: found {wrong}, expected 0 \(all\) to {most}, the cores that"
        with pytest.raises(ValueError, match=allowed):
            cores.check_threads(wrong)
