"""part.py: what a model's turn updates, by name."""

import torch
from torch import nn

from mas_fast.training.part import Part


def part(**options) -> Part:
    """Of three layers, two are updated, in two groups and another order."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5, bias=False))
    first, _, last = model
    groups = [{"params": list(last.parameters())}, {"params": list(first.parameters())}]
    return Part("p", model, model, torch.optim.SGD(groups, lr=0.5), **options)


def test_parameters_are_those_of_the_optimizer() -> None:
    it = part()
    first, _, last = it.model
    expected = [last.weight, first.weight, first.bias]
    assert all(a is b for a, b in zip(it.parameters(), expected, strict=True))


def test_their_names_come_in_the_order_of_the_model() -> None:
    it = part()
    assert [name for name, _ in it.named_parameters()] == ["0.weight", "0.bias", "2.weight"]
    assert all(it.model.get_parameter(name) is found for name, found in it.named_parameters())


def test_the_optimizer_goes_on_with_what_took_the_place_of_its_parameters() -> None:
    """As sharding a model does, which makes new ones of the same names."""
    it = part()
    names = {parameter: name for name, parameter in it.named_parameters()}
    before = {name: parameter.detach().clone() for parameter, name in names.items()}
    for layer in it.model:
        for name, parameter in list(layer.named_parameters()):
            setattr(layer, name, nn.Parameter(parameter.detach().clone()))
    it.replace_parameters(names)
    assert [[p.shape for p in group["params"]] for group in it.optimizer.param_groups] == [
        [(5, 4)],
        [(3, 2), (3,)],
    ]
    assert [name for name, _ in it.named_parameters()] == ["0.weight", "0.bias", "2.weight"]
    for parameter in it.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    it.optimizer.step()
    for name, old in before.items():
        assert torch.equal(it.model.get_parameter(name), old - 0.5)


def test_by_default_a_part_is_averaged_from_the_first_step_on() -> None:
    it = part()
    assert (it.ema, it.start, it.prepare) == (True, 0, None)
