"""The subject "attention": what of it needs no GPU."""

import pytest
import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from benchmarks import attention as subject


def test_a_peer_is_compiled_for_each_mask_or_refused(monkeypatch) -> None:
    """Masks, forward and backward, are all of Dynamo's limit; beyond it a peer would run slow."""
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 8)
    torch.compiler.reset()
    compiled = subject.whole_graphs(lambda x: x.view(-1))
    assert torch._dynamo.config.recompile_limit >= 4 * len(subject.reference_attention.MASKS)
    torch._dynamo.config.recompile_limit = 2
    for size in (2, 3):
        assert len(compiled(torch.ones(size))) == size
    with pytest.raises(FailOnRecompileLimitHit):
        compiled(torch.ones(4))
    torch.compiler.reset()
