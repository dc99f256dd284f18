"""skip_init.py: modules whose values come later."""

import subprocess
import sys

import torch
from torch import nn

from mas_fast.models.skip_init import embedding, to_empty


def test_an_embedding_without_values() -> None:
    table = embedding(5, 3)
    assert isinstance(table, nn.Embedding)
    assert table.weight.shape == (5, 3)
    assert table.weight.requires_grad
    assert (table.num_embeddings, table.embedding_dim) == (5, 3)


def test_memory_of_the_same_strides() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
    module.to(torch.bfloat16).to(memory_format=torch.channels_last)
    strides = {name: value.stride() for name, value in module.state_dict().items()}
    assert to_empty(module, "cpu") is module
    for name, value in module.state_dict().items():
        assert value.device.type == "cpu"
        assert value.stride() == strides[name]
    assert module[0].weight.dtype == torch.bfloat16
    assert module[0].weight.requires_grad
    assert module[1].num_batches_tracked.dtype == torch.int64


def test_models_are_made_without_what_takes_seconds_to_import() -> None:
    code = (
        "import sys; from mas_fast.models import gpt, vqvae; gpt.GPT.create(gpt.preset('tiny'));"
        "vqvae.VQVAE.create(vqvae.preset('tiny-seg')); gpt.GPT(gpt.preset('mini-270m'));"
        "print(*({'sympy', 'torch._dynamo'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
