"""cross_entropy_chunked.py: the chunks, and the operator that PyTorch knows."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cross_entropy_cases import INTERPRETED, Case
from mas_fast import ops
from mas_fast.ops import cross_entropy_chunked

# ---- the arithmetic ----------------------------------------------------------------------------


def test_fp16_sums_of_many_equal_rows_are_finite():
    hidden = torch.full((1, 9000, 4), 30.0, dtype=torch.float16, requires_grad=True)
    head = torch.tensor([[0.1], [-0.1]]).expand(2, 4).half().requires_grad_()
    targets = torch.ones(1, 9000, dtype=torch.int64)
    loss, _ = ops.stream_cross_entropy(hidden, [head], targets, [9000], impl="chunked")
    loss.backward()
    torch.testing.assert_close(head.grad, torch.tensor([[30.0], [-30.0]]).expand(2, 4).half())


def test_without_gradients_there_are_none():
    case = Case("three streams", torch.float32)
    arguments = list(arguments_of(case))
    arguments[7] = [False, True, False, False]
    _, _, d_hidden, d_heads = cross_entropy_chunked.stream_cross_entropy(*arguments)
    assert d_hidden.numel() == 0
    assert [d.shape for d in d_heads] == [case.heads[0].shape, (0,), (0,)]


def arguments_of(case):
    """Those of the operator, all gradients wanted."""
    ignored = [cross_entropy_chunked.NOTHING if i is None else i for i in case.ignored]
    wanted = [True] * len(case.tensors)
    return (
        case.hidden, case.heads, case.targets, case.lengths, case.weights, ignored,
        case.hidden.dtype, wanted, INTERPRETED,
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 12, 13, 100])
def test_chunks_cover_every_row_once(rows):
    seen = torch.zeros(5, 9, dtype=torch.int64)
    for b, t in cross_entropy_chunked._chunks(5, 2, 8, rows):
        seen[b, t] += 1
        assert 0 < seen[b, t].numel() <= rows
    assert (seen[:, 2:8] == 1).all()
    assert seen.sum() == 30


def test_logits_are_never_whole():
    """No tensor inside is larger than a gradient or a chunk, and no chunk than its budget."""
    rows, width, vocab = 512, 64, 4096
    hidden, head = torch.randn(4, rows // 4, width), torch.randn(vocab, width)
    targets = torch.randint(vocab, (4, rows // 4))

    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, list | tuple) else [out]:
                if isinstance(tensor, torch.Tensor):
                    self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
            return out

    budget = 16 * 4 * (vocab + width)
    before = cross_entropy_chunked.CHUNK_BYTES["cpu"]
    cross_entropy_chunked.CHUNK_BYTES["cpu"] = budget
    try:
        with Largest() as largest:
            cross_entropy_chunked._forward(
                hidden, [head], targets, [rows // 4], [1.0], [-1], torch.float32, [True, True],
                cross_entropy_chunked._Torch,
            )  # fmt: skip
    finally:
        cross_entropy_chunked.CHUNK_BYTES["cpu"] = before
    assert head.nbytes <= largest.bytes <= max(head.nbytes, budget) < rows * vocab * 4 / 6


class Launches(TorchDispatchMode):
    """How many operators there are that a GPU would have to run."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returns = function._schema.returns
        is_view = any(each.alias_info and not each.alias_info.is_write for each in returns)
        makes_nothing = is_view or "empty" in function._schema.name
        self.count += not makes_nothing and function is not torch.ops.aten.promote_types.default
        return function(*args, **(kwargs or {}))


class CountedKernels:
    """kernels/cross_entropy.py, of which each launcher starts one kernel."""

    def __init__(self):
        self.count = 0
        self.exchange = self.softmax_gradient = self.add_weight_gradient = self._launch

    def _launch(self, *args, **kwargs):
        self.count += 1

    @staticmethod
    def new_scratch(result):
        return torch.empty_like(result, dtype=torch.uint8)


@pytest.mark.parametrize("ignored", [cross_entropy_chunked.NOTHING, 0])
def test_launches_on_a_gpu(ignored, monkeypatch):
    """64 sequences of mini-270m are fewer than 180; a chunk takes five."""
    monkeypatch.setitem(cross_entropy_chunked.CHUNK_BYTES, "meta", 28 << 20)
    lengths, vocabs = [63, 256, 256], [16384, 1024, 16384]
    hidden = torch.empty(64, 575, 1024, dtype=torch.bfloat16, device="meta")
    heads = [hidden.new_empty(vocab, 1024) for vocab in vocabs]
    targets = torch.empty(64, 575, dtype=torch.int64, device="meta")
    kernels = CountedKernels()
    with Launches() as torchs:
        cross_entropy_chunked._forward(
            hidden, heads, targets, lengths, [1, 1, 7], [ignored] * 3, torch.bfloat16, [True] * 4,
            kernels,
        )  # fmt: skip
    assert 0 < kernels.count + torchs.count < 180
    chunks = 64 // 13 + 1 + 64 // 28 + 1 + 64 // 3 + 1
    assert kernels.count == 3 * chunks + 3


# ---- as an operator ----------------------------------------------------------------------------


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
@pytest.mark.parametrize("name", ["small", "empty streams"])
def test_opcheck(name):
    case = Case(name, torch.float32)
    torch.library.opcheck(cross_entropy_chunked.stream_cross_entropy, arguments_of(case))
    case.heads[1].requires_grad_(False)
    arguments = list(arguments_of(case))
    arguments[7] = [t.requires_grad for t in case.tensors]
    torch.library.opcheck(cross_entropy_chunked.stream_cross_entropy, arguments)


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
def test_compiled():
    case = Case("three streams", torch.float32)
    want = case.run("chunked", 3.0)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def function(hidden, heads, targets):
        loss, losses = ops.stream_cross_entropy(
            hidden * 1, heads, targets, case.lengths, weights=case.weights, ignored=case.ignored
        )
        return 3 * loss, losses

    loss, losses = function(case.hidden, case.heads, case.targets)
    grads = torch.autograd.grad(loss, case.tensors)
    for found, other in zip([loss / 3, losses, *grads], want, strict=True):
        torch.testing.assert_close(found, other)


@pytest.mark.skipif(INTERPRETED, reason="of PyTorch alone")
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_distributed(kind, tmp_path):
    """A model that calls it inside forward, wrapped: the gradients of the plain one."""
    from torch import distributed
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(8, 8)
            self.heads = torch.nn.ModuleList(torch.nn.Linear(8, v, bias=False) for v in (11, 6))

        def forward(self, x, targets):
            weights = [head.weight for head in self.heads]
            return ops.stream_cross_entropy(self.body(x), weights, targets, [3, 2])[0]

    torch.manual_seed(0)
    model = Model()
    x, targets = torch.randn(4, 5, 8), torch.randint(6, (4, 5))
    model(x, targets).backward()
    want = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(model) if kind == "ddp" else fully_shard(model)
        wrapped(x, targets).backward()
        for parameter, grad in zip(model.parameters(), want, strict=True):
            found = parameter.grad if kind == "ddp" else parameter.grad.full_tensor()
            assert torch.equal(found, grad)
    finally:
        distributed.destroy_process_group()
