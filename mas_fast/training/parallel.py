"""Several processes, applied to a model from outside.

    rank, world, device = place()
    loss = parallelize(loss, model.blocks, kind="fsdp", device=device, compiled=True)

`loss` is a module that holds the model and maps a batch to a scalar. The order is that of
torchtitan: recomputation, compilation, then DDP or FSDP2. Names of weights stay as they are.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")


def place() -> tuple[int, int, torch.device]:
    """Where this process stands; under torchrun the first call joins the group.

    The group uses NCCL between GPUs, and Gloo for what is on the host: numbers that the host needs
    are exchanged there, without a wait for a GPU.

    Returns:
        The rank, the number of processes, and the device: a GPU where there is one.
    """
    cuda = torch.cuda.is_available()
    if "WORLD_SIZE" not in os.environ:
        return 0, 1, torch.device("cuda" if cuda else "cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(device)
            dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
        else:
            dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size(), device


def parallelize(
    loss: nn.Module,
    blocks: Sequence[nn.Module] = (),
    *,
    device: torch.device,
    kind: str = "ddp",
    recomputed: bool = False,
    compiled: bool = False,
    dtype: torch.dtype | None = None,
    unused: bool = False,
) -> nn.Module:
    """The loss, on the device, ready to be called in this process.

    Args:
        loss: holds the model and maps a batch to a scalar.
        blocks: recomputed in the backward pass, compiled or, by FSDP2, gathered one at a time.
        device: of this process.
        kind: "ddp" keeps whole weights in every process and copies rank 0's buffers; "fsdp"
            replaces each parameter by this process' share of it.
        recomputed: whether activations of the blocks are computed again in the backward pass.
        compiled: whether the blocks are compiled.
        dtype: of the weights that FSDP2 gathers; gradients are summed in fp32.
        unused: whether some weights take part in some steps only.
    """
    for block in blocks:
        if recomputed:
            # Nothing random happens in a block, so no generator's state need be kept.
            block.forward = functools.partial(
                checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False
            )
        if compiled:
            block.compile()
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return loss.to(device)
    if kind == "ddp":
        return DistributedDataParallel(
            loss.to(device), gradient_as_bucket_view=True, find_unused_parameters=unused
        )
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(loss, mesh=mesh, mp_policy=policy)
    return loss


def accumulating(loss: nn.Module, last: bool) -> AbstractContextManager:
    """Gradient accumulation: gradients stay in this process until the `last` pass."""
    if isinstance(loss, FSDPModule):
        loss.set_requires_gradient_sync(last)
    elif isinstance(loss, DistributedDataParallel) and not last:
        return loss.no_sync()
    return contextlib.nullcontext()


def gather(value: T) -> list[T]:
    """The value of each process, on all of them."""
    if not dist.is_initialized():
        return [value]
    gathered: list = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def first(call: Callable[[], T]) -> T:
    """Call in the first process, for all.

    Returns:
        The result, in all processes.

    Raises:
        ValueError: it was raised there.
        OSError: it was raised there.
    """
    if not dist.is_initialized():
        return call()
    result: T | None = None
    error: ValueError | OSError | None = None
    if dist.get_rank() == 0:
        try:
            result = call()
        except (ValueError, OSError) as raised:
            error = raised
    result, error = gather((result, error))[0]
    if error is not None:
        raise error
    return cast(T, result)
