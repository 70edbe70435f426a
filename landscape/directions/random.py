"""Random directions in parameter space: draw, orthogonalize, normalize.

A direction has the names and shapes of its center. The center and the global random state are never changed.

A *filter* is one entry along the first axis of a parameter with two axes or more, in any layer: an output channel of a
convolution (grouped and depthwise too), an output neuron of a linear layer, one entry of an embedding, and an *input*
channel of a transposed convolution, whose outputs are on the second axis. That is the authors' rule; it needs names and
shapes only. Scales with several axes (LayerNorm over two axes, a layer scale) have no filters either, but only the
network shows which these are: `objective.scales` finds them. A tied parameter is one parameter.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import NotFiniteError, ShapeMismatchError, UnknownNameError
from .normalization import KINDS

Params = dict[str, Tensor]
NORMALIZATIONS = tuple(KINDS)
BIASES = ("fixed", "parameter", "random")  # for parameters without filters: biases, scales and shifts
ORTHOGONALITIES = ("filter", "overall", "none")
DRAWS = ("named", "authors")

_ROUNDS = 200  # at most, to make two directions orthogonal overall; each gains a factor of 10 or more on real networks


def filtered(parameters: Mapping[str, Tensor], scales: Collection[str] = ()) -> list[str]:
    """Names of the parameters that have filters: those with two axes or more which are not among the `scales`."""
    return [name for name, parameter in parameters.items() if parameter.ndim > 1 and name not in scales]


def draw(
    center: Mapping[str, Tensor], *, seed: int, axis: int, biases: bool = False, scales: Collection[str] = ()
) -> Params:
    """Draw a Gaussian direction, every element from N(0, 1), in float64 on the CPU; of complex numbers both parts.

    Each parameter has its own generator, seeded by (seed, axis, name): any process draws the same direction, in any
    order. Parameters without filters are zero, as in the authors' commands, unless `biases`.

    Returns:
        A mapping with the names and shapes of `center`, unitless.

    Source: Li et al. 2018, section 4; a generator for every parameter is ours.
    """
    drawn = set(center if biases else filtered(center, scales))
    return {
        name: _gaussian(parameter, f"{seed}/{axis}/{name}") if name in drawn else _zero(parameter)
        for name, parameter in center.items()
    }


def draw_as_authors(center: Mapping[str, Tensor], *, seed: int, count: int = 2) -> tuple[Params, ...]:
    """Draw `count` Gaussian directions in the authors' order from one torch generator: float32, on the CPU.

    One randn per tensor in the order of `center`, biases included: all of the first direction, then all of the second.
    Equal to `torch.manual_seed(seed)` followed by their loop. Their own command seeds before it builds the model, whose
    constructor draws too: to reproduce a published picture, share direction files, not seeds.

    Returns:
        `count` mappings with the names and shapes of `center`, unitless, converted to float64.

    Source: get_random_weights in the authors' net_plotter.py (Li et al. 2018).
    """
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        {
            name: like(torch.randn(_real_shape(parameter), generator=generator).double(), parameter)
            for name, parameter in center.items()
        }
        for _ in range(count)
    )


def _gaussian(parameter: Tensor, key: str) -> Tensor:
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return like(torch.randn(_real_shape(parameter), generator=generator, dtype=torch.float64), parameter)


def _zero(parameter: Tensor) -> Tensor:
    return like(torch.zeros(_real_shape(parameter), dtype=torch.float64), parameter)


def double(tensor: Tensor) -> Tensor:
    """The tensor in its shape, in float64 or complex128 on the CPU, detached."""
    return tensor.detach().to("cpu", torch.complex128 if tensor.is_complex() else torch.float64)


def real(tensor: Tensor) -> Tensor:
    """A tensor of real numbers in the same shape; of complex ones both parts, (…, 2)."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def like(numbers: Tensor, wanted: Tensor) -> Tensor:
    """Real numbers in any shape as a tensor with the shape of `wanted`, complex if it is: the inverse of `real`."""
    whole = numbers.reshape(_real_shape(wanted))
    return torch.view_as_complex(whole.contiguous()) if wanted.is_complex() else whole


def _real_shape(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.shape, 2) if tensor.is_complex() else tuple(tensor.shape)


def normalize(
    direction: Mapping[str, Tensor],
    center: Mapping[str, Tensor],
    *,
    kind: str = "filter",
    biases: str = "fixed",
    scales: Collection[str] = (),
) -> Params:
    """Rescale `direction` against `center` by Frobenius norms; a factor is 0 where it would divide by 0.

    Args:
        kind: "filter": every filter gets the norm of the same filter of `center`; "layer": every parameter gets the
            norm of the same parameter; "weight": every element is multiplied by that of `center`; "dfilter", "dlayer":
            every filter, every parameter gets norm 1; "none": unchanged.
        biases: what parameters without filters become. "fixed": zero; "parameter": the parameter itself; "random":
            what was drawn, rescaled by `kind` with the whole parameter as one filter (our choice).
        scales: names of parameters without filters although they have two axes or more.

    Returns:
        A new mapping with the names and shapes of `center`, float64 on the CPU, unitless. Arguments are not changed.

    Raises:
        ShapeMismatchError: a name or a shape differs.
        UnknownNameError: `kind` or `biases` is not known.

    Filters of norms 1 and 8 get the norms 5 and 2 of the center's:

    >>> center = {"weight": torch.tensor([[3.0, 4.0], [0.0, 2.0]])}
    >>> normalize({"weight": torch.tensor([[1.0, 0.0], [0.0, 8.0]])}, center)["weight"].tolist()
    [[5.0, 0.0], [0.0, 2.0]]

    Source: Li et al. 2018, section 4, for "filter". The other kinds, "fixed" (`--xignore biasbn`) and "parameter"
    (without it) follow the authors' code, without the 1e-10 that it adds to the norms.
    """
    _require_known("normalization", kind, NORMALIZATIONS)
    _require_known("treatment of biases", biases, BIASES)
    _require_same_shapes(direction, center)
    known = set(filtered(center, scales))
    return {name: _normalized(direction[name], center[name], kind, biases, name in known) for name in center}


def _normalized(direction: Tensor, center: Tensor, kind: str, biases: str, filters: bool) -> Tensor:
    center = double(center)
    if not filters and biases != "random":
        return center.clone() if biases == "parameter" else torch.zeros_like(center)
    drawn, wanted = rows(double(direction), filters), rows(center, filters)
    return like(drawn * KINDS[kind](drawn, wanted), direction)


def rows(parameter: Tensor, filters: bool = True) -> Tensor:
    """(filters, entries): the filters of a parameter, one per row; a parameter without `filters` is one row.

    A complex number is two entries, its parts: so the norm of a filter is over both.
    """
    return real(parameter).flatten(1) if filters and parameter.ndim > 1 else real(parameter).reshape(1, -1)


def filter_norms(parameter: Tensor) -> Tensor:
    """(filters,) float64: the Frobenius norm of every filter."""
    return rows(double(parameter)).square().sum(1).sqrt()


def orthogonalize_filters(
    eta: Mapping[str, Tensor], delta: Mapping[str, Tensor], scales: Collection[str] = ()
) -> Params:
    """Remove from every filter of `eta` its component along the same filter of `delta`: Gram–Schmidt inside the filter.

    A one-element filter cannot be orthogonal to another: it stays as drawn, and is counted in `DirectionMeasures`.

    Returns:
        A new mapping with the names and shapes of `eta`.

    Raises:
        ShapeMismatchError: a name or a shape differs.

    Source: Golub & Van Loan 2013, section 5.2, for Gram–Schmidt. To apply it inside filters is ours; the authors rely
    on independent Gaussians being nearly orthogonal.

    >>> delta = {"weight": torch.tensor([[1.0, 0.0], [1.0, 1.0]])}
    >>> orthogonalize_filters({"weight": torch.tensor([[3.0, 4.0], [2.0, 0.0]])}, delta)["weight"].tolist()
    [[0.0, 4.0], [1.0, -1.0]]
    """
    _require_same_shapes(eta, delta)
    known = set(filtered(eta, scales))
    return {name: _reject(eta[name], delta[name], name in known) for name in eta}


def _reject(eta: Tensor, delta: Tensor, has_filters: bool) -> Tensor:
    filters, onto = rows(eta, has_filters), rows(delta, has_filters)
    if filters.shape[1] < 2:
        return eta.clone()
    squares = (onto * onto).sum(1, keepdim=True)
    for _ in range(2):  # the second pass removes what rounding left of the first
        filters = filters - torch.where(squares > 0, (filters * onto).sum(1, keepdim=True) / squares, 0.0) * onto
    return like(filters, eta)


def random_directions(
    center: Mapping[str, Tensor],
    *,
    seed: int,
    count: int = 2,
    normalization: str = "filter",
    biases: str = "fixed",
    orthogonality: str = "filter",
    drawn: str = "named",
    scales: Collection[str] = (),
) -> tuple[Params, ...]:
    """Draw `count` (1 or 2) random directions, made orthogonal and normalized.

    Args:
        normalization, biases, scales: see `normalize`.
        orthogonality: "filter": inside every filter, and therefore overall, exact to rounding together with the
            normalization (rescaling keeps a filter's angle; with "weight" the second direction is orthogonalized last);
            "overall": as one vector, likewise; "none": independent draws, as the authors do. With `biases` "parameter"
            both directions have the same biases, which are not orthogonalized.
        drawn: "named": a generator per (seed, axis, name); "authors": see `draw_as_authors`.

    Returns:
        `count` mappings with the names and shapes of `center`, float64 on the CPU, unitless.

    Raises:
        UnknownNameError: an option is not known.
        NotFiniteError: the center holds NaN or infinity.

    Source: Li et al. 2018, section 4; making them exactly orthogonal is ours.

    >>> center = {"weight": torch.tensor([[3.0, 4.0], [6.0, 8.0]]), "bias": torch.ones(2)}
    >>> delta, eta = random_directions(center, seed=0)
    >>> [round(norm, 9) for norm in filter_norms(delta["weight"]).tolist()]
    [5.0, 10.0]
    >>> abs(dot(delta, eta)) < 1e-12
    True
    >>> delta["bias"].tolist()
    [0.0, 0.0]
    """
    _require_known("orthogonality", orthogonality, ORTHOGONALITIES)
    _require_finite(center)

    def scaled(direction: Params) -> Params:
        return normalize(direction, center, kind=normalization, biases=biases, scales=scales)

    raw = _draws(center, seed=seed, count=count, biases=biases == "random", drawn=drawn, scales=scales)
    delta = scaled(raw[0])
    if count == 1:
        return (delta,)
    turning = set(center if biases == "random" else filtered(center, scales))
    if orthogonality == "none":
        return delta, scaled(raw[1])
    if orthogonality == "overall":
        # Multiply by the weights once, not in every round.
        kind = "none" if normalization == "weight" else normalization
        how = {"kind": kind, "biases": biases, "scales": scales}
        return delta, _orthogonal_overall(scaled(raw[1]), delta, center, turning, **how)
    if normalization != "weight":
        return delta, scaled(orthogonalize_filters(raw[1], delta, scales))
    turned = orthogonalize_filters(eta := scaled(raw[1]), delta, scales)
    return delta, {name: turned[name] if name in turning else eta[name] for name in eta}


def _draws(
    center: Mapping[str, Tensor], *, seed: int, count: int, biases: bool, drawn: str, scales: Collection[str]
) -> tuple[Params, ...]:
    _require_known("draw", drawn, DRAWS)
    if drawn == "authors":
        return draw_as_authors(center, seed=seed, count=count)
    return tuple(draw(center, seed=seed, axis=axis, biases=biases, scales=scales) for axis in range(count))


def _orthogonal_overall(
    eta: Params, delta: Params, center: Mapping[str, Tensor], turning: set[str], **how: Any
) -> Params:
    """Alternate removing from `eta` its component along `delta` and normalizing, until both hold to rounding."""
    onto = {name: delta[name] for name in turning}
    squares = dot(onto, onto)
    for _ in range(_ROUNDS):
        overlap = dot(onto, eta)
        if not squares or abs(overlap) <= 1e-15 * (squares * dot(eta, eta)) ** 0.5:
            break
        eta = {name: eta[name] - overlap / squares * delta[name] if name in turning else eta[name] for name in eta}
        eta = normalize(eta, center, **how)
    return eta


def dot(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The inner product over the names of `one`, summed in float64; of complex numbers over both parts."""
    return sum(float((real(one[name]).double() * real(other[name]).double()).sum()) for name in one)


def norm(direction: Mapping[str, Tensor]) -> float:
    """The Frobenius norm over all parameters together."""
    return float(dot(direction, direction) ** 0.5)


def combine(directions: Sequence[Mapping[str, Tensor]], coefficients: Sequence[float]) -> Params:
    """Σ coefficients[k] · directions[k], with the names and shapes of the directions, in float64 on the CPU."""
    doubles = [{name: double(tensor) for name, tensor in direction.items()} for direction in directions]
    return {
        name: torch.stack([c * one[name] for c, one in zip(coefficients, doubles, strict=True)]).sum(0)
        for name in doubles[0]
    }


def completed(direction: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> Params:
    """`direction` with zeros for the names of `center` that are missing: names and shapes of `center`, float64.

    Raises:
        ShapeMismatchError: a name is unknown or a shape differs.
        NotFiniteError: the direction holds NaN or infinity.
    """
    whole = {**{name: _zero(tensor) for name, tensor in center.items()}, **direction}
    _require_same_shapes(whole, center)
    _require_finite(direction, "direction")
    return {name: double(tensor) for name, tensor in whole.items()}


def _require_known(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownNameError(what, name, known)


def _require_same_shapes(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    if one.keys() != other.keys():
        odd = sorted(one.keys() ^ other.keys())
        side = "direction" if odd[0] in one else "checkpoint"
        raise ShapeMismatchError(
            f"Parameter {odd[0]!r} is in the {side} only ({len(odd)} such). "
            "Use a direction made from the same architecture."
        )
    for name, tensor in one.items():
        if tensor.shape != other[name].shape:
            raise ShapeMismatchError(
                f"Parameter {name!r} has shape {tuple(tensor.shape)} in the direction; the checkpoint has "
                f"{tuple(other[name].shape)}. Use a direction made from the same architecture."
            )


def _require_finite(center: Mapping[str, Tensor], what: str = "checkpoint") -> None:
    for name, parameter in center.items():
        if not bool(torch.isfinite(parameter).all()):
            raise NotFiniteError(
                f"Parameter {name!r} of the {what} holds NaN or infinity: no landscape can be computed from it."
            )
