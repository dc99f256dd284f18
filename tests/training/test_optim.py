"""Muon for matrices and AdamW for the rest: the steps that each takes."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from gpt_runs import settings  # noqa: E402
from mas_fast.models.gpt import GPT, preset  # noqa: E402
from mas_fast.training.optim import MuonAdamW, optimizer  # noqa: E402

OPTIONS = {"lr": 0.01, "betas": (0.9, 0.96), "weight_decay": 0.1}


def parameters() -> tuple[list, list]:
    """Two matrices, and an embedding with a bias."""
    generator = torch.Generator().manual_seed(0)
    shapes = (48, 16), (16, 24), (30, 16), (16,)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made[:2], made[2:]


def test_a_step_of_a_matrix_is_nearly_orthogonal_and_as_large_as_adamws() -> None:
    matrices, rest = parameters()
    before = [m.detach().clone() for m in matrices]
    MuonAdamW(matrices, rest, **OPTIONS).step()
    for old, new in zip(before, matrices, strict=True):
        step = old * (1 - 0.01 * 0.1) - new.detach()
        along = torch.linalg.svdvals(step) / (0.2 * 0.01 * max(step.shape) ** 0.5)
        assert 0.5 < along.min()
        assert along.max() < 1.5
        u, _, v = torch.linalg.svd(new.grad, full_matrices=False)
        alike = torch.nn.functional.cosine_similarity(step.flatten(), (u @ v).flatten(), dim=0)
        assert alike > 0.95  # the nearest orthogonal matrix to the gradient
        assert step.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.3)


def test_the_rest_takes_the_steps_of_adamw() -> None:
    (matrices, rest), (_, alone) = parameters(), parameters()
    both = MuonAdamW(matrices, rest, **OPTIONS)
    adamw = torch.optim.AdamW(alone, 0.01, betas=(0.9, 0.96), weight_decay=0.0, fused=True)
    for lr in (0.01, 0.003):
        for group in both.param_groups + adamw.param_groups:
            group["lr"] = lr
        both.step()
        adamw.step()
    for ours, theirs in zip(rest, alone, strict=True):
        assert torch.equal(ours, theirs)
    assert set(both.state) == {*matrices, *rest}
    assert {*both.state[matrices[0]]} == {"momentum_buffer"}
    assert {*both.state[rest[0]]} == {"step", "exp_avg", "exp_avg_sq"}
    both.zero_grad()
    assert all(parameter.grad is None for parameter in [*matrices, *rest])


def test_what_has_no_gradient_yet_is_left_alone() -> None:
    matrices, rest = parameters()
    for parameter in (matrices[0], rest[0]):
        parameter.grad = None
    before = [p.detach().clone() for p in (matrices[0], rest[0])]
    both = MuonAdamW(matrices, rest, **OPTIONS)
    both.step()
    assert torch.equal(matrices[0], before[0])
    assert torch.equal(rest[0], before[1])
    assert set(both.state) == {matrices[1], rest[1]}


def stepped(both: MuonAdamW, steps: int) -> None:
    """The same gradients for the same step, whoever has made the ones before."""
    for step in range(steps):
        generator = torch.Generator().manual_seed(100 + step)
        for group in both.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=generator)
        both.step()


def values(both: MuonAdamW) -> list[torch.Tensor]:
    return [p.detach() for group in both.param_groups for p in group["params"]]


def reloaded(both: MuonAdamW) -> MuonAdamW:
    matrices, rest = parameters()
    for new, old in zip([*matrices, *rest], values(both), strict=True):
        new.data.copy_(old)
    other = MuonAdamW(matrices, rest, lr=7.0, betas=(0.1, 0.2), weight_decay=0.7)
    other.load_state_dict(copy.deepcopy(both.state_dict()))  # else both share their tensors
    return other


WAYS = {
    "loaded": reloaded,
    "copied": copy.deepcopy,
    "pickled": lambda both: pickle.loads(pickle.dumps(both)),
    "loaded twice": lambda both: reloaded(reloaded(both)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_comes_back_takes_the_same_steps(way) -> None:
    matrices, rest = parameters()
    both = MuonAdamW(matrices, rest, **OPTIONS)
    stepped(both, 3)
    other = way(both)
    assert other.param_groups[0]["lr"] == 0.01
    assert other.param_groups[1]["betas"] == (0.9, 0.96)
    stepped(both, 2)
    stepped(other, 2)
    for ours, theirs in zip(values(both), values(other), strict=True):
        assert torch.equal(ours, theirs)
    for one in (both, other):  # groups and state of one are what it goes by
        before = [value.clone() for value in values(one)]
        for group in one.param_groups:
            group["lr"] = 0.0
        stepped(one, 1)
        assert all(map(torch.equal, before, values(one)))
        assert len(one.state) == 4
        one.state.clear()
        stepped(one, 1)
        assert len(one.state) == 4


def test_a_schedule_goes_on_after_loading() -> None:
    both = reloaded(MuonAdamW(*parameters(), **OPTIONS))
    schedule = torch.optim.lr_scheduler.LambdaLR(both, lambda step: 0.0 if step else 1.0)
    stepped(both, 1)
    schedule.step()
    before = [value.clone() for value in values(both)]
    stepped(both, 2)
    assert all(map(torch.equal, before, values(both)))


def test_each_step_is_that_of_torchs_two_optimizers() -> None:
    """Bit for bit, and through tall, wide and square matrices."""
    (matrices, rest), (mats, others) = parameters(), parameters()
    both = MuonAdamW(matrices, rest, **OPTIONS)
    muon = torch.optim.Muon(mats, 0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, 0.01, betas=(0.9, 0.96), weight_decay=0.0, fused=True)
    for _ in range(3):
        for each in (both, muon, adamw):
            each.step()
        for ours, theirs in zip([*matrices, *rest], [*mats, *others], strict=True):
            assert torch.equal(ours, theirs)
            ours.grad = (ours.detach() * 1.5 + 0.1).sin()
            theirs.grad = ours.grad.clone()


def test_a_closure_computes_the_gradients() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 3))
    both = MuonAdamW([weight], [torch.nn.Parameter(torch.ones(2))], **OPTIONS)

    def closure() -> torch.Tensor:
        both.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    first = both.step(closure)
    assert both.step(closure) < first
    assert both.step() is None


def test_groups_say_their_algorithm() -> None:
    both = MuonAdamW(*parameters(), **OPTIONS)
    more = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match='found None, expected "muon" or "adamw"'):
        both.add_param_group({"params": [more]})
    with pytest.raises(ValueError, match=r"matrices: found the shape \[2\]"):
        MuonAdamW([more], [], **OPTIONS)
    more.grad = torch.ones(2)
    both.add_param_group({"params": [more], "algorithm": "adamw", "weight_decay": 0.0})
    stepped(both, 1)
    assert set(both.state[more]) == {"step", "exp_avg", "exp_avg_sq"}


def test_the_state_of_another_optimizer_is_refused() -> None:
    both = MuonAdamW(*parameters(), **OPTIONS)
    other = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        both.load_state_dict(other.state_dict())
    other.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    with pytest.raises(ValueError, match=r"found \[None, None\], expected \['muon', 'adamw'\]"):
        both.load_state_dict(other.state_dict())


def test_only_matrices_decay(tmp_path, shards) -> None:
    model = GPT.create(preset("tiny"))
    adamw = optimizer(model, settings(shards, tmp_path, weight_decay=0.5))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decaying, rest = ({names[p] for p in group["params"]} for group in adamw.param_groups)
    assert decaying | rest == set(names.values())
    assert not decaying & rest
    assert all(name.endswith(".weight") and "norm" not in name for name in decaying)
    assert not any(name.startswith(("embed", "position")) for name in decaying)
    assert {"head.img.weight", "blocks.0.mlp.up.weight"} <= decaying
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.5, 0]


def test_a_step_that_is_not_to_be_taken_changes_nothing() -> None:
    """Neither weights nor states, though gradients are NaN; the steps around it are the same."""
    both, alone = (MuonAdamW(*parameters(), **OPTIONS) for _ in range(2))
    both.found_inf = torch.zeros(())
    stepped(both, 2)
    stepped(alone, 2)
    before = copy.deepcopy(both.state_dict()["state"])
    for group in both.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, float("nan"))
    both.found_inf = torch.ones(())
    both.step()
    for ours, theirs in zip(values(both), values(alone), strict=True):
        assert torch.equal(ours, theirs)
    after = both.state_dict()["state"]
    for n, state in before.items():
        assert state.keys() == after[n].keys()
        assert all(torch.equal(state[name], after[n][name]) for name in state)
    both.found_inf = torch.zeros(())
    stepped(both, 2)
    stepped(alone, 2)
    for ours, theirs in zip(values(both), values(alone), strict=True):
        assert torch.equal(ours, theirs)
