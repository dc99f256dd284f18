"""ops.* in whole graphs of torch.compile, torch.export and FakeTensor give what real tensors do."""

import importlib.util

import pytest
import torch
from torch._subclasses import FakeTensorMode

from mas_fast import ops
from mas_fast.utils import native

needs_library = pytest.mark.skipif(
    native.problem("_torch") is not None, reason="not built: pip install -e ."
)


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


def sample(logits, uncond, where):
    settings = {"guidance": 2.0, "temperature": 0.9, "top_k": 5, "top_p": 0.9}
    return ops.sample(logits, uncond=uncond, seed=3, sample=where, position=7, **settings)


def loss(hidden, head, targets):
    return ops.stream_cross_entropy(hidden, [head, head[:5]], targets, [2, 1])[0]


QKV = [random(2, 2, 6, 8)] * 3
LABELS = torch.arange(24, dtype=torch.uint8).view(2, 3, 4) % 5
CODES = torch.arange(7) % 4


def masked(q, k, v):
    return ops.attention(q, k, v, mask="row", grids=[(5, 5)])


CASES = {
    "sample": (sample, [random(3, 9), random(3, 9) / 2, torch.arange(3)]),
    "vq_nearest": (ops.vq_nearest, [random(7, 5), random(4, 5)]),
    "vq_statistics": (lambda x, codes: ops.vq_statistics(x, codes, 4), [random(7, 5), CODES]),
    "label_conv": (
        ops.label_conv,
        [LABELS, LABELS > 2, random(4, 6, 3, 3), random(4)],
    ),
    "label_conv without edges": (
        lambda labels, weight, bias: ops.label_conv(labels, None, weight, bias),
        [LABELS, random(4, 5, 3, 3), random(4)],
    ),
    "attention": (ops.attention, QKV),
    "attention in bf16": (ops.attention, [x.bfloat16() for x in QKV]),
    "attention under a mask": (masked, QKV),
    "attention under a mask in bf16": (masked, [x.bfloat16() for x in QKV]),
    "stream_cross_entropy": (loss, [random(2, 3, 4), random(7, 4), torch.ones(2, 3).long()]),
}
each = pytest.mark.parametrize("function, tensors", CASES.values(), ids=CASES)
pytestmark = needs_library


def same(found, want):
    coarse = isinstance(want, torch.Tensor) and want.dtype == torch.bfloat16
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if coarse else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(found, want, **tolerance)


@each
@pytest.mark.parametrize("dynamic", [False, True])
def test_whole_graphs(function, tensors, dynamic):
    torch.compiler.reset()
    ops.load_library.cache_clear()  # as in a process whose first call is a compiled one
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    same(compiled(*tensors), function(*tensors))
    if dynamic and tensors[0].dtype != torch.bfloat16:
        more = [torch.cat([x, x]) if x.shape[0] == tensors[0].shape[0] else x for x in tensors]
        same(compiled(*more), function(*more))


@each
def test_gradients_in_whole_graphs(function, tensors):
    torch.compiler.reset()
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in tensors]
    want = function(*leaves)
    if not (isinstance(want, torch.Tensor) and want.requires_grad):
        pytest.skip("has no gradients")
    taken = [x for x in leaves if x.requires_grad]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for found, other in zip(
        torch.autograd.grad(compiled(*leaves).sum(), taken),
        torch.autograd.grad(want.sum(), taken),
        strict=True,
    ):
        same(found, other)


@each
def test_exported(function, tensors):
    class Module(torch.nn.Module):
        def forward(self, *tensors):
            return function(*tensors)

    exported = torch.export.export(Module(), tuple(tensors))
    same(exported.module()(*tensors), function(*tensors))


@each
def test_fake_tensors(function, tensors):
    want = function(*tensors)
    with FakeTensorMode() as mode:
        found = function(*map(mode.from_tensor, tensors))
    pairs = [(found, want)] if isinstance(want, torch.Tensor) else zip(found, want, strict=True)
    for fake, real in pairs:
        assert (fake.shape, fake.dtype) == (real.shape, real.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_graph_has_the_attention_of_a_call_by_itself(device, dtype):
    """And not the definition, which is for torch.export. A fake tensor needs no GPU."""
    torch.compiler.reset()
    called = []

    def backend(graph, _):
        called.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph

    with FakeTensorMode():
        q = torch.empty(2, 2, 6, 8, device=device, dtype=dtype)
        found = torch.compile(ops.attention, fullgraph=True, backend=backend)(q, q, q)
    assert (found.shape, found.dtype) == (q.shape, dtype)
    if (device, dtype) == ("cuda", torch.bfloat16) and importlib.util.find_spec("triton"):
        assert "mas_fast.attention_forward.default" in called
    if dtype == torch.float32:
        assert any("scaled_dot_product_attention" in name for name in called)


def test_a_graph_names_what_it_cannot_draw():
    """No exception within a graph, but no token either."""
    compiled = torch.compile(lambda x: ops.sample(x, seed=1), fullgraph=True, backend="aot_eager")
    assert compiled(torch.tensor([[0.0, float("nan")], [0.0, 1.0]]))[0] == -2
    with pytest.raises(ValueError, match="found NaN .*token 1"):
        ops.sample(torch.tensor([[0.0, float("nan")]]), seed=1)


OPERATORS = {
    "sample": lambda: (random(3, 9), None, 1.0, 1.0, 4, 0.9, 3, CODES[:3], CODES[:3]),
    "sample_step": lambda: (
        random(3, 9), None, CODES[:3].int(), CODES.int().expand(3, 7).contiguous() - 1,
        random(3, 7), random(3).abs(), CODES[:3].int(), random(3).double().sigmoid(),
        CODES[:3], CODES[:3], CODES[:3, None].int(), 1, 7,
    ),
    "vq_nearest": lambda: (random(7, 5), random(4, 5)),
    "label_conv": lambda: (
        random(4, 6, 3, 3).requires_grad_(), random(4).requires_grad_(), LABELS, LABELS > 2,
    ),
    "label_conv_backward": lambda: (random(2, 3, 4, 4), LABELS, None, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck_of_native_operators(name):
    ops.load_library()
    torch.library.opcheck(getattr(torch.ops.mas_fast, name).default, OPERATORS[name]())


def test_every_registered_operator_is_checked():
    """In this file or in the one of its kernels."""
    from mas_fast.ops import attention_triton, cross_entropy_chunked, vq_triton  # noqa: F401

    ops.load_library()
    names = {
        name.removeprefix("mas_fast::").split(".")[0]
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("mas_fast::")
    }
    elsewhere = {"attention_forward", "attention_backward", "stream_cross_entropy"}
    assert names == OPERATORS.keys() | elsewhere | {"vq_nearest_triton", "vq_statistics_triton"}
