"""Whether a network computes with the parameters that its directions move, or with something kept from before.

A forward pass may use a copy of its weights, made with the network, at its first pass or on the way to evaluation mode.
Then a landscape is flat along those weights, and every line that compares values at the center is green.
"""

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..directions.plane import Plane
from ..directions.random import Params, norm
from ..objective.digest import same_bits
from ..objective.objective import Objective, converted, copy_of, has_numbers, movable, number_type, type_like
from ..objective.random_state import seeded
from ..objective.trial import FEW

POINT = (0.5, 0.3)  # directions of a filter with one number are equal or opposite: at equal coordinates they may cancel
TORCHS = ("_parameters", "_modules", "_flat_weights")  # of recurrent layers: the weights themselves
NEAR = 0.1  # relative distance of a rounded copy from its weights
SAME = 1e-4  # relative to the largest output: the same network in the same types


@dataclass(frozen=True)
class Movement:
    """What moving the parameters does to the outputs for a few samples.

    Attributes:
        moves: it changes them, or they are computed from the parameters and happen not to change.
        follows: a copy of the network that gets the moved parameters before evaluation mode gives the same outputs.
        still: names of parameters that move along the directions, and on which no output depends.
        kept: those of them whose numbers the network also holds elsewhere, or which a function of it has captured.
    """

    moves: bool = True
    follows: bool = True
    still: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def movement(model: nn.Module, objective: Objective, plane: Plane) -> Movement:
    """What moving the parameters along the directions of a plane does.

    Args:
        model: the center, as the caller gave it.
        objective: of a frozen copy of it.
    """
    few = objective.first(min(FEW, objective.batch))
    center = few.parameters()
    moved = plane.at(center, POINT[: len(plane.directions)])
    names = [name for name in center if not same_bits(center[name], moved[name])]
    before, after = _outputs(few, few.model, center), _outputs(few, few.model, moved)
    if not names or not before:
        return Movement(moves=not any(norm(direction) for direction in plane.directions) or not before)
    reached = _reached(few, center)
    still = tuple(
        name
        for name in names
        if name not in reached and _same(before, _outputs(few, few.model, {**center, name: moved[name]}))
    )
    held, own = list(_held(few.model)), dict(few.model.named_parameters())
    captured = _captured(model, few, still, moved)
    return Movement(
        moves=bool(reached.intersection(names)) or not _same(before, after),  # a network may be flat
        follows=_close(after, _outputs(few, _remade(model, moved, objective.model_dtype), {})),
        still=still,
        kept=tuple(
            name
            for name in still
            if name in captured or (name in own and any(_numbers_of(one, center[name]) for one in held))
        ),
    )


def _outputs(few: Objective, model: nn.Module, parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """The outputs for a few samples, detached; empty if there are no tensors in them."""
    with seeded(0), few.running():
        samples, _ = few.pair(0, None)
        outputs = torch.func.functional_call(model, dict(parameters), (samples,))
        return [one.detach().clone() for one in _tensors(outputs)]


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, np.ndarray):
        if outputs.dtype.kind in "fiu":
            yield torch.from_numpy(outputs.astype(np.float64))
    elif isinstance(outputs, Mapping):
        yield from _tensors(list(outputs.values()))
    elif isinstance(outputs, list | tuple):
        for one in outputs:
            yield from _tensors(one)


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(
        one.shape == other.shape and same_bits(one, other) for one, other in zip(some, others, strict=True)
    )


def _close(some: list[Tensor], others: list[Tensor]) -> bool:
    if len(some) != len(others):
        return False
    for one, other in zip(some, others, strict=True):
        size = float(one.abs().nan_to_num(0.0, 0.0, 0.0).max()) if has_numbers(one) and one.numel() else 0.0
        if one.shape != other.shape or not torch.allclose(one, other, rtol=0.0, atol=SAME * size, equal_nan=True):
            return False
    return True


def _reached(few: Objective, center: Params) -> set[str]:
    """Parameters in the graph of the outputs, by name. One outside may still matter, as where gradients are off."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in center.items()}
    try:
        with seeded(0), torch.enable_grad():
            samples, _ = few.pair(0, None)
            outputs = torch.func.functional_call(few.model, leaves, (samples,))
            found = _leaves([one.grad_fn for one in _tensors(outputs)])
    except Exception:  # what cannot be differentiated is moved, parameter by parameter
        return set()
    return {name for name, leaf in leaves.items() if id(leaf) in found}


def _captured(model: nn.Module, few: Objective, names: Collection[str], moved: Params) -> set[str]:
    """Those of `names` on which outputs depend in the caller's own network, though not in a copy of it.

    A function that holds a parameter (a closure, an attribute that is no module's) is shared by copies, and so is what
    it holds. The network is copied around these parameters, which are as before afterwards, bit for bit.
    """
    own = {name: one for name, one in model.named_parameters() if name in names}
    if not own:
        return set()
    before = {name: (one.requires_grad, one.data, one.detach().clone()) for name, one in own.items()}
    try:
        shared = copy.deepcopy(model, {id(one): one for one in own.values()}).eval()
        for one in own.values():
            one.requires_grad_()
        there = _recorded(shared, few)
        found = _leaves([one.grad_fn for one in there])
        captured = set()
        for name in (name for name, one in own.items() if id(one) in found):
            own[name].data.copy_(moved[name])
            captured |= set() if _same(there, _recorded(shared, few)) else {name}
            own[name].data.copy_(before[name][2])
    except Exception:
        return set()
    finally:
        for name, (mark, data, bits) in before.items():  # the forward pass may write to its parameters
            own[name].data = data.copy_(bits)
            own[name].requires_grad_(mark)
    return captured


def _recorded(model: nn.Module, few: Objective) -> list[Tensor]:
    """The outputs of a network in its own type, with the graph of their gradients."""
    with seeded(0), torch.enable_grad():
        samples, _ = few.pair(0, None)
        return list(_tensors(model(samples.detach().to(type_like(samples, number_type(model))))))


def _leaves(functions: list[Any]) -> set[int]:
    """The ids of all tensors that are differentiated with respect to."""
    seen, found, left = set(), set(), [function for function in functions if function is not None]
    while left:
        function = left.pop()
        if function in seen:
            continue
        seen.add(function)
        if hasattr(function, "variable"):
            found.add(id(function.variable))
        left += [following for following, _ in function.next_functions if following is not None]
    return found


def _remade(model: nn.Module, moved: Params, dtype: torch.dtype) -> nn.Module:
    """A copy of the caller's network with other parameters, which then gets into evaluation mode."""
    copied = converted(copy_of(model), dtype)
    for name, tensor in movable(copied).items():
        tensor.data.copy_(moved[name])
    return copied.eval()


def _held(model: nn.Module) -> Iterator[Tensor]:
    """Tensors and arrays in plain attributes of any part of a network, and its buffers: no parameters."""
    for part in model.modules():
        own = [value for name, value in vars(part).items() if name not in TORCHS]
        plain = (one for one in _tensors(own) if not isinstance(one, nn.Parameter))  # a list of them is no copy
        yield from (one for one in plain if has_numbers(one) and one.numel())


def _near(one: Tensor, other: Tensor) -> bool:
    """Whether the differences from the mean are the same up to a tenth: not of constants, which many tensors hold."""
    one, other = one - one.mean(), other - other.mean()
    size = float(other.norm())
    return size > 0 and float((one - other).norm()) <= NEAR * size


def _numbers_of(held: Tensor, parameter: Tensor) -> bool:
    """Whether a tensor has the numbers of a parameter: about, in its order or transposed; or exactly, in any order.

    Such as a copy in another type, rounded to 8 bits, or merged with something small.
    """
    if held.numel() != parameter.numel() or held.is_complex() != parameter.is_complex():
        return False
    one, other = (torch.view_as_real(x) if x.is_complex() else x for x in (held.detach(), parameter.to(held.dtype)))
    orders = [other, *([other.T] if other.ndim == 2 and not held.is_complex() else [])]
    if any(_near(one.flatten().double(), order.flatten().double()) for order in orders):
        return True
    ordered = one.flatten().sort().values
    constant = bool(ordered[0] == ordered[-1]) and (len(ordered) > 1 or float(ordered[0]) in (0.0, 1.0))
    return not constant and torch.equal(ordered, other.flatten().sort().values)  # many tensors hold ones alone
