"""Gradient and Hessian of the mean loss at any point: products, extreme eigenvalues, trace, density, directions.

In evaluation mode with frozen statistics. Eigenvalues are those of the *mean* loss; the authors sum over batches, so
theirs are larger by the number of batches. The model is never changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..directions.plane import Plane
from ..directions.random import Params, filtered
from ..engine.out_of_memory import is_out_of_memory
from ..errors import CurvatureError, UnknownNameError, first_line
from ..objective.objective import Objective, has_numbers, type_like
from ..objective.scales import scales
from ..stop import Stop, Stopped
from . import lanczos
from .lanczos import Eigenpair
from .spectrum import Spectrum

OVER = ("filters", "all")
CHECKED = 256  # samples on which products are compared with those in float64


class Hessian:
    """The Hessian of an objective at one point, over all parameters or those with filters: products with vectors."""

    def __init__(
        self,
        objective: Objective,
        at: Mapping[str, Tensor],
        *,
        over: str | Sequence[str] = "filters",
        weight_decay: float = 0.0,
        stop: Stop | None = None,
    ):
        """
        Args:
            at: parameters and statistics of the point, by name; missing ones keep the model's values.
            over: "filters": parameters with filters, as in the authors' code; "all": every parameter; or their names.
            weight_decay: adds half of it times ‖θ‖² to the loss, and so the same number to every eigenvalue.

        Raises:
            UnknownNameError: `over` is not known.
            CurvatureError: no parameter has filters.
        """
        self.objective: Objective = objective
        self.weight_decay: float = weight_decay
        self.stop: Stop | None = stop
        self.at: Params = {**objective.parameters(), **at}
        self.names: list[str] = names_over(objective, over) if isinstance(over, str) else list(over)
        self.sizes: list[int] = [self.at[name].numel() for name in self.names]

    @property
    def size(self) -> int:
        """Number of parameters n."""
        return sum(self.sizes)

    def product(self, vector: Tensor) -> Tensor:
        """H v, (n,) float64 on the CPU, averaged over the samples; within a batch in the precision of the objective.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            CurvatureError: an operator of the network has no second derivative.

        Source: Pearlmutter 1994, here as the derivative of the gradient along v.
        """
        along = list(self.split(vector).values())
        total = torch.zeros(len(vector), dtype=torch.float64)
        with sdpa_kernel(SDPBackend.MATH):  # the faster attention kernels have no second derivative
            for images, labels in self._batches():
                total += self._batch_product(along, images, labels)
        return total / len(self.objective.images) + self.weight_decay * vector

    def _batch_product(self, along: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        moving = self._moving()
        slopes = torch.autograd.grad(self._sum(moving, images, labels), list(moving.values()), create_graph=True)
        try:
            return self._joined(moving, list(slopes), along)
        except RuntimeError as error:
            if "derivative" not in str(error):
                raise
            raise CurvatureError(f"The network has no second derivative: {first_line(error)}") from None

    def gradient(self) -> Tensor:
        """∇L, (n,) float64 on the CPU.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
        """
        total = torch.zeros(self.size, dtype=torch.float64)
        for images, labels in self._batches():
            moving = self._moving()
            total += self._joined(moving, [self._sum(moving, images, labels)], None)
        return total / len(self.objective.images) + self.weight_decay * self._point()

    def _point(self) -> Tensor:
        return torch.cat([self.at[name].detach().to("cpu", torch.float64).flatten() for name in self.names])

    def product_error(self, *, seed: int = 0, steps: Sequence[float] = (1e-6, 1e-7)) -> float:
        """‖H v − D‖ / ‖D‖ for a random unit v, D a central difference of gradients: an independent check of `product`.

        The gradients are taken at ± step · v, and the smallest error of all steps is returned: a ReLU that switches
        in between adds its jump to the difference. Meant for float64.

        Raises:
            Stopped, CurvatureError: see `product`.

        Source: Nocedal & Wright 2006, section 8.1, for the central difference.
        """
        vector = lanczos.gaussian(self.size, seed)
        vector = vector / vector.norm()
        product, along = self.product(vector), self.split(vector)
        return min(_distance(product, self._difference(along, step)) for step in steps)

    def _difference(self, along: Params, step: float) -> Tensor:
        ahead, behind = (
            Hessian(
                self.objective,
                {**self.at, **_moved(self.at, along, sign * step)},
                over=self.names,
                weight_decay=self.weight_decay,
            ).gradient()
            for sign in (1, -1)
        )
        return (ahead - behind) / (2 * step)

    def split(self, vector: Tensor) -> Params:
        """A vector (n,) as tensors by name, with the shapes and types and on the device of the parameters."""
        parts = torch.split(vector, self.sizes)
        return {
            name: part.view(self.at[name].shape).to(self.at[name]) for name, part in zip(self.names, parts, strict=True)
        }

    def extremes(
        self, *, seed: int = 0, steps: int = lanczos.STEPS, tolerance: float = lanczos.TOLERANCE
    ) -> tuple[Eigenpair, Eigenpair]:
        """The smallest and the largest eigenvalue; see `lanczos.extremes`.

        Raises:
            Stopped, CurvatureError: see `product`; or a product is NaN or infinite.
        """
        low, high = lanczos.extremes(self.product, self.size, seed=seed, steps=steps, tolerance=tolerance)
        low, high = self._bounded([low, high])
        return low, high

    def largest(self, count: int, *, seed: int = 0, steps: int = lanczos.STEPS) -> list[Eigenpair]:
        """The `count` eigenpairs of largest magnitude, largest first.

        Raises:
            Stopped: see `product`.
            CurvatureError: there are fewer eigenpairs, or a product is NaN or infinite.
        """
        pairs = lanczos.largest(self.product, self.size, count=count, seed=seed, steps=steps)
        return self._bounded(pairs)

    def _bounded(self, pairs: list[Eigenpair]) -> list[Eigenpair]:
        """The pairs with the rounding of products added to their residuals, which in float32 fall to 1e-20 else.

        The rounding is ‖H v − H₆₄ v‖ on the first samples; 1000 times that of the type where there is no float64.
        """
        few = self.objective.first(CHECKED)
        if few.model_dtype == torch.float64:
            return pairs
        try:
            at = {name: one.to(type_like(one, torch.float64)) for name, one in self.at.items()}
            exact = Hessian(few.in_double(), at, over=self.names, stop=self.stop)
            own = Hessian(few, self.at, over=self.names, stop=self.stop)
            more = [float((own.product(pair.vector) - exact.product(pair.vector)).norm()) for pair in pairs]
        except Exception as error:
            if isinstance(error, Stopped) or is_out_of_memory(error):
                raise
            more = [1e3 * torch.finfo(few.model_dtype).eps * abs(pair.value) for pair in pairs]
        return [replace(pair, residual=pair.residual + one) for pair, one in zip(pairs, more, strict=True)]

    def spectrum(self, *, seed: int = 0, steps: int = lanczos.STEPS, probes: int = 8) -> Spectrum:
        """Extreme eigenvalues, trace and density at this point.

        Raises:
            Stopped, CurvatureError: see `extremes`.
        """
        low, high = self.extremes(seed=seed, steps=steps)
        trace = lanczos.trace(self.product, self.size, probes=max(2, probes), seed=seed)
        density = lanczos.density(self.product, self.size, probes=probes, steps=min(40, steps), seed=seed)
        return Spectrum(low.value, high.value, low.residual, high.residual, trace, density, self.size)

    def _moving(self) -> Params:
        return {name: self.at[name].detach().clone().requires_grad_() for name in self.names}

    def _joined(self, moving: Params, outputs: list[Tensor], along: list[Tensor] | None) -> Tensor:
        """Σ along · ∂outputs / ∂moving, (n,) float64 on the CPU; zero for parameters that no output depends on."""
        known = [k for k, output in enumerate(outputs) if output.requires_grad]
        weights = None if along is None else [along[k] for k in known]
        found = torch.autograd.grad(
            [outputs[k] for k in known], list(moving.values()), weights, allow_unused=True, materialize_grads=True
        )
        return torch.cat([part.detach().to("cpu", torch.float64).flatten() for part in found])

    def _sum(self, moved: Params, images: Tensor, labels: Tensor) -> Tensor:
        outputs = torch.func.functional_call(self.objective.model, {**self.at, **moved}, (images,))
        return self.objective.loss(outputs, labels).sum()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for part in self.objective.batches():
            if self.stop is not None and self.stop():
                raise Stopped
            yield self.objective.pair(part.start, part.stop)


def _distance(found: Tensor, expected: Tensor) -> float:
    size = float(expected.norm())
    return float((found - expected).norm()) / size if size else float(found.norm())


def _moved(at: Params, along: Params, length: float) -> Params:
    return {name: at[name] + length * step for name, step in along.items()}


def names_over(objective: Objective, over: str, filters: str = "weights") -> list[str]:
    """Names of the parameters to differentiate with respect to: those with "filters", or "all".

    Args:
        filters: "weights", or "axes": scales with two axes or more have filters too.

    Raises:
        UnknownNameError: `over` is neither.
        CurvatureError: no parameter has filters, or one is complex.
    """
    if over not in OVER:
        raise UnknownNameError("choice of parameters", over, OVER)
    named = {name: one for name, one in objective.model.named_parameters() if has_numbers(one)}
    names = list(named)
    if over == "filters":
        names = filtered(named, scales(objective) if filters == "weights" else ())
    if any(named[name].is_complex() for name in names):
        raise CurvatureError("The network has complex parameters; its Hessian is not computed. Losses are.")
    if not names:
        raise CurvatureError("No parameter has filters: there is nothing to differentiate by. Use over='all'.")
    return names


def gradient_plane(objective: Objective, *, dimensions: int = 1, seed: int = 0, weight_decay: float = 0.0) -> Plane:
    """The line along the gradient of the mean loss, with weight decay, at the checkpoint, scaled to norm 1.

    With two `dimensions` the second is a random direction of norm 1, orthogonal to the gradient over all parameters
    together (our choice).

    Raises:
        CurvatureError: the gradient is zero or not finite.
    """
    hessian = Hessian(objective, {}, over="all", weight_decay=weight_decay)
    slope = hessian.gradient()
    size = float(slope.norm())
    if not 0 < size < float("inf"):
        raise CurvatureError(f"The gradient has norm {size} at this checkpoint: it gives no direction.")
    vectors = [slope / size]
    if dimensions == 2:
        drawn = lanczos.gaussian(hessian.size, seed)
        rest = drawn - (drawn @ vectors[0]) * vectors[0]
        vectors.append(rest / rest.norm())
    label = "along the gradient, norm 1" + (", and a random direction orthogonal to it" if dimensions == 2 else "")
    directions = tuple(_as_direction(vector, hessian, objective) for vector in vectors)
    return Plane(directions, "gradient", {"gradient_norm": size, "label": label})


def eigenvector_plane(
    objective: Objective,
    *,
    count: int = 2,
    over: str = "filters",
    seed: int = 0,
    steps: int = lanczos.STEPS,
    weight_decay: float = 0.0,
) -> Plane:
    """The plane (or line, `count` 1) of the Hessian's eigenvectors with the largest |λ|, each of norm 1.

    Along them the curvature of the plot is the eigenvalue; signs are chosen so that the largest element is positive.

    Raises:
        UnknownNameError: `over` is not known.
        CurvatureError: see `Hessian`, `Hessian.product` and `lanczos.largest`.

    Source: Yao et al. 2020, arXiv:1912.07145, who plot the loss along the first two eigenvectors.
    """
    hessian = Hessian(objective, {}, over=over, weight_decay=weight_decay)
    pairs = hessian.largest(count, seed=seed, steps=steps)
    directions = tuple(_as_direction(_signed(pair.vector), hessian, objective) for pair in pairs)
    values = [pair.value for pair in pairs]
    facts = {"eigenvalues": values, "residuals": [pair.residual for pair in pairs]}
    return Plane(directions, "eigenvectors", {**facts, "label": "top Hessian eigenvectors, norm 1"})


def _signed(vector: Tensor) -> Tensor:
    return vector * torch.sign(vector[vector.abs().argmax()])


def _as_direction(vector: Tensor, hessian: Hessian, objective: Objective) -> Params:
    """A vector (n,) as a direction over every parameter, zero for parameters outside `over`; float64 on the CPU."""
    parts = dict(zip(hessian.names, torch.split(vector, hessian.sizes), strict=True))
    return {
        name: parts[name].view(parameter.shape) if name in parts else torch.zeros(parameter.shape, dtype=torch.float64)
        for name, parameter in objective.model.named_parameters()
    }
