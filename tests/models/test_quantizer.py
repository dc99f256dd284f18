"""quantizer.py: nearest codes, gradients, moving averages, revival, and what is resumed."""

import dataclasses
import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from mas_fast.models.quantizer import DECAY, PATIENCE, make_quantizer
from mas_fast.models.vqvae_config import VQConfig

K, D = 16, 8
SIZES = {"resolution": 8, "ch": 32, "ch_mult": (1,), "z_channels": D, "embed_dim": D}
CONFIGS = {
    name: VQConfig("image", 3, K, quantizer=name, **SIZES) for name in ("gradient", "ema", "gumbel")
}
NEAREST = ("gradient", "ema")


def make(name, alive=True, seed=0, **changes):
    torch.manual_seed(seed)
    quantizer = make_quantizer(dataclasses.replace(CONFIGS[name], **changes))
    torch.nn.init.normal_(quantizer.table)
    quantizer.reset(alive)
    return quantizer


def batch(seed=0, rows=2, side=4):
    z = torch.randn(rows, D, side, side, generator=torch.Generator().manual_seed(seed))
    return z.contiguous(memory_format=torch.channels_last)


def flat(z):
    return z.permute(0, 2, 3, 1).reshape(-1, D)


def brute(z, table):
    distance = (flat(z).double()[:, None] - table.double()).square().sum(2)
    return distance.argmin(1).view(z.shape[0], *z.shape[2:])


@pytest.mark.parametrize("name", NEAREST)
def test_the_nearest_code(name):
    quantizer, z = make(name), batch()
    codes = quantizer.encode(z)
    assert torch.equal(codes, brute(z, quantizer.table))
    assert torch.equal(flat(quantizer.lookup(codes)), quantizer.table[codes.flatten()])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.encode(z), codes)


@pytest.mark.parametrize("name", NEAREST)
def test_the_gradient_goes_straight_through(name):
    quantizer, z = make(name), batch().requires_grad_()
    found = quantizer(z)
    weights = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((found.vectors * weights).sum(), z)
    assert torch.equal(gradient, weights)


def test_the_forward_value_is_the_code_to_the_bit():
    quantizer, z = make("gradient"), 1000 * batch()
    assert torch.equal(quantizer(z).vectors, quantizer.lookup(quantizer.encode(z)))


def test_beta_weighs_the_commitment():
    quantizer, z = make("gradient", beta=0.25), batch().requires_grad_()
    found = quantizer(z)
    difference = flat(z) - quantizer.table[found.codes.flatten()]
    torch.testing.assert_close(found.loss, 1.25 * difference.square().mean())
    dz, dtable = torch.autograd.grad(found.loss, (z, quantizer.table))
    scale = 2 / difference.numel()
    torch.testing.assert_close(flat(dz), 0.25 * scale * difference)
    expected = torch.zeros(K, D).index_add_(0, found.codes.flatten(), -scale * difference)
    torch.testing.assert_close(dtable, expected)


def test_moving_averages():
    quantizer = make("ema", beta=0.5).train()
    counts, table = torch.full((K,), 1 - DECAY), quantizer.table.clone()
    sums = table * (1 - DECAY)
    for seed in range(4):
        z = batch(seed)
        codes = brute(z, table).flatten()
        found = quantizer(z)
        assert torch.equal(found.codes.flatten(), codes)
        torch.testing.assert_close(found.loss, 0.5 * F.mse_loss(flat(z), table[codes]))
        hot = F.one_hot(codes, K).float()
        counts = DECAY * counts + (1 - DECAY) * hot.sum(0)
        sums = DECAY * sums + (1 - DECAY) * hot.t() @ flat(z)
        used = hot.sum(0) > 0
        table[used] = (sums / counts[:, None])[used]
        torch.testing.assert_close(quantizer.table, table)
        torch.testing.assert_close(quantizer.counts, counts)
    assert not quantizer.table.requires_grad


# ---------------------------------------------------------------------- dead codes


@pytest.mark.parametrize("name", NEAREST)
def test_a_new_codebook_is_made_of_the_first_batch(name):
    quantizer, z = make(name, alive=False).train(), batch()
    assert quantizer.usage() == 0
    found = quantizer(z)
    assert found.usage == 1
    rows = {tuple(row.tolist()) for row in flat(z)}
    if name == "gradient":
        assert {tuple(row.tolist()) for row in quantizer.table.detach()} <= rows
        assert len(quantizer.table.detach().unique(dim=0)) == K  # each another one


@pytest.mark.parametrize("name", NEAREST)
def test_only_the_dead_are_revived(name):
    quantizer = make(name).train()
    with torch.no_grad():
        quantizer.table[5:] += 1000  # far from every vector
        if name == "ema":
            quantizer.reset(alive=True)
    z, before = batch(), quantizer.table.clone()
    steps = PATIENCE * K // len(flat(z))
    for _ in range(steps + 1):  # they are dead once more than PATIENCE * K have passed
        quantizer(z)
        assert torch.equal(quantizer.table[5:], before[5:])
    assert quantizer.usage() == 5 / K
    alive = quantizer.table[:5].clone()
    assert quantizer(z).usage == 1
    assert quantizer.table.abs().max() < 100
    if name == "gradient":
        assert torch.equal(quantizer.table[:5], alive)


def test_few_vectors_revive_few_codes():
    quantizer = make("gradient", alive=False).train()
    z = batch(rows=1, side=2)
    quantizer(z)
    assert quantizer.usage() == 4 / K
    quantizer(batch(1, rows=1, side=2))
    assert quantizer.usage() == 8 / K


@pytest.mark.parametrize("name", CONFIGS)
def test_evaluation_changes_nothing(name):
    quantizer = make(name, alive=False).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(batch())
    quantizer.encode(batch())
    assert all(torch.equal(before[name], v) for name, v in quantizer.state_dict().items())


@pytest.mark.parametrize("name", NEAREST)
def test_a_state_dict_resumes_exactly(name):
    first = make(name, alive=False).train()
    for seed in range(3):
        first(batch(seed, rows=1, side=2))
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second = make(name, seed=1).train()
    second.load_state_dict(state)
    for seed in range(3, 60):  # codes die and are revived meanwhile
        torch.rand(seed)  # another random state
        one, two = (quantizer(batch(seed, rows=1, side=2)) for quantizer in (first, second))
        assert torch.equal(one.vectors, two.vectors)
        assert torch.equal(one.codes, two.codes)
        assert torch.equal(one.perplexity, two.perplexity)
        assert torch.equal(one.usage, two.usage)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_perplexity():
    quantizer = make("gradient").eval()
    with torch.no_grad():
        quantizer.table.copy_(10 * torch.eye(K)[:, :D] - 5 * torch.eye(K).roll(D, 1)[:, :D])
    each = quantizer.table.detach().t().reshape(1, D, 4, 4)
    torch.testing.assert_close(quantizer(each).perplexity, torch.tensor(float(K)))
    one = each[..., :1, :1].expand(1, D, 4, 4)
    torch.testing.assert_close(quantizer(one).perplexity, torch.tensor(1.0))


# ---------------------------------------------------------------------- several ranks

RANKS = """
import sys, torch, torch.distributed as dist
sys.path[:] = [entry for entry in sys.path if entry]
from mas_fast.models.quantizer import make_quantizer
from mas_fast.models.vqvae_config import VQConfig

torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
torch.manual_seed(rank)
sizes = dict(resolution=8, ch=32, ch_mult=(1,), z_channels=8, embed_dim=8)
quantizer = make_quantizer(VQConfig("image", 3, 16, quantizer="ema", **sizes)).train()
quantizer.reset(alive=False)  # the codebook comes out of rank 0's batch
for step in range(3):
    z = torch.randn(4, 8, 4, 4, generator=torch.Generator().manual_seed(step))
    quantizer(z[2 * rank : 2 * rank + 2])
torch.save(quantizer.state_dict(), f"{folder}/{rank}.pt")
quantizer.init_table(torch.Generator().manual_seed(1))
quantizer.reset(alive=True)
for step in range(5):
    z = torch.randn(4, 8, 4, 4, generator=torch.Generator().manual_seed(9 + step))
    quantizer(z[2 * rank : 2 * rank + 2])
torch.save(quantizer.state_dict(), f"{folder}/alive-{rank}.pt")
dist.destroy_process_group()
"""


def test_ranks_learn_one_codebook(tmp_path):
    if not torch.distributed.is_available():
        pytest.skip("torch was built without torch.distributed")
    command = [sys.executable, "-c", RANKS]
    ranks = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [process.wait(600) for process in ranks] == [0, 0]
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(one["embedding.weight"], two["embedding.weight"])
    for name in ("counts", "idle", "step"):
        assert torch.equal(one[name], two[name]), name
    # 64 vectors a step in all, whichever rank they were on.
    expected = (1 - DECAY) * 64 * sum(DECAY**n for n in range(3)) + (1 - DECAY) * K * DECAY**3
    assert math.isclose(float(one["counts"].sum()), expected, rel_tol=1e-5)
    # Where nothing is revived, one process that sees all vectors learns the same.
    sizes = dict(resolution=8, ch=32, ch_mult=(1,), z_channels=8, embed_dim=8)
    alone = make_quantizer(VQConfig("image", 3, 16, quantizer="ema", **sizes)).train()
    alone.init_table(torch.Generator().manual_seed(1))
    alone.reset(alive=True)
    for step in range(5):
        alone(torch.randn(4, 8, 4, 4, generator=torch.Generator().manual_seed(9 + step)))
    for rank in (0, 1):
        found = torch.load(tmp_path / f"alive-{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, dict(alone.state_dict()))


# ---------------------------------------------------------------------- Gumbel


def test_without_training_the_likeliest_code():
    quantizer, z = make("gumbel").eval(), batch()
    found = quantizer(z)
    assert torch.equal(found.codes, quantizer.proj(z).argmax(1))
    assert torch.equal(found.codes, quantizer.encode(z))
    assert torch.equal(found.vectors, quantizer.lookup(found.codes))


def test_gumbel_draws_from_the_softmax():
    quantizer = make("gumbel").train()
    z = batch()[:, :, :1, :1].expand(2, D, 64, 64)
    with torch.no_grad():
        quantizer.proj.weight.mul_(2)
        frequency = F.one_hot(quantizer(z).codes[0].flatten(), K).float().mean(0)
        expected = quantizer.proj(z)[0, :, 0, 0].softmax(0)
    assert (frequency - expected).abs().max() < 5 * (0.25 / 64**2) ** 0.5


def test_gumbel_gradients_and_divergence():
    quantizer, z = make("gumbel", beta=2.0).train(), batch().requires_grad_()
    found = quantizer(z)
    (found.vectors.square().sum() + found.loss).backward()
    for tensor in (z, quantizer.table, quantizer.proj.weight):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0
    q = quantizer.proj(z).softmax(1)
    expected = 2.0 * (q * (q * K).log()).sum(1).mean()
    torch.testing.assert_close(found.loss, expected)
    with torch.no_grad():
        quantizer.proj.weight.zero_()
        quantizer.proj.bias.zero_()
    assert quantizer(z).loss.abs() < 1e-6


def test_the_temperature_is_resumed():
    first, second = make("gumbel"), make("gumbel", seed=1)
    first.temperature.fill_(0.25)
    second.load_state_dict(first.state_dict())
    assert second.temperature == 0.25
