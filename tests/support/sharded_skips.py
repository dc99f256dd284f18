"""Steps of a model shared out by FSDP2, of which one is not to be taken; prints what changed in it:

torchrun --nproc-per-node 2 tests/support/sharded_skips.py
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from mas_fast.training.optim import MuonAdamW


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.clone()


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [whole(tensor.detach()) for tensor in [*model.parameters(), *states]]


def changes(kind: str) -> list[int]:
    """How many of weights and states each step but the first has changed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    matrices, rest = ([p for p in model.parameters() if (p.ndim == 2) == two] for two in (1, 0))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, fused=True)
    if kind == "muon":
        optimizer = MuonAdamW(matrices, rest, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    seen = []
    for factor in (1.0, float("nan"), 1.0):
        (factor * model(torch.randn(5, 8)).square().sum()).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.found_inf = (~whole(norm).isfinite()).float()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(everything(model, optimizer))
    pairs = [zip(*seen[n : n + 2], strict=True) for n in range(2)]
    return [sum(not torch.equal(*pair) for pair in each) for each in pairs]


if __name__ == "__main__":
    dist.init_process_group("gloo")
    found = {kind: changes(kind) for kind in ("adamw", "muon")}
    if dist.get_rank() == 0:
        print(found)
    dist.destroy_process_group()
