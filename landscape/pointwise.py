"""What is measured at single points instead of over a grid: the spectrum of the Hessian, the paired difference of two
losses, and directions that depend on the loss.

None of the functions changes the caller's model or any global random state.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from .data.inputs import read_inputs
from .directions.plane import Plane
from .evaluation.landscape import plane_along as plane_of
from .grid import Grid
from .hessian.lanczos import STEPS
from .hessian.products import Hessian, names_over
from .hessian.spectrum import Spectrum
from .keywords import checks_keywords
from .kinds.prepare import prepare
from .objective.interval import Interval, interval
from .objective.losses import PerSample, loss_of
from .objective.objective import Objective
from .objective.random_state import keeps_random_state
from .objective.trial import tried
from .options import BatchNorm, Biases, Draw, Filters, LossName, Normalization, Orthogonality, Over, Precision, Source


@checks_keywords
@keeps_random_state
def spectrum(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    over: Over = "filters",
    filters: Filters = "weights",
    seed: int = 0,
    steps: int = STEPS,
    probes: int = 8,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    calibration: Tensor | int = 512,
    precision: Precision = "float32",
) -> Spectrum:
    """Extreme eigenvalues, trace and density of the Hessian of the mean loss at the model.

    Args:
        model, images, labels, loss, label_smoothing, weight_decay, batch_norm, calibration, precision: as in `surface`.
        over: parameters the Hessian is taken over: "filters" (those with filters) or "all".
        filters: what has filters, as in `surface`.
        seed: of the random vectors.
        steps: products of the Hessian with a vector, per random vector.
        probes: random vectors for trace and density.

    Raises:
        CurvatureError: the Hessian is not finite, or there are no parameters.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        LandscapeError: another reason that you can fix; the message says what to do.

    Source: Lanczos quadrature as in Ghorbani et al. 2019 (arXiv:1901.10159); see landscape/hessian/.
    """
    prepared = prepare(
        "slice",
        model,
        images=images,
        labels=labels,
        grid=Grid.line(2),
        loss=loss,
        label_smoothing=label_smoothing,
        weight_decay=weight_decay,
        batch_norm=batch_norm,
        calibration=calibration,
        precision=precision,
    )
    objective, parameters = prepared.landscape.objective_at((0.0,))
    names = names_over(objective, over, filters)
    return Hessian(objective, parameters, over=names, weight_decay=weight_decay).spectrum(
        seed=seed, steps=steps, probes=probes
    )


class _Paired(NamedTuple):
    difference: float  # mean over the samples, unit of the loss
    standard_error: float  # of that mean; far below the errors of both losses, since the samples are the same


class Paired(_Paired):
    """The difference of the loss between two points, over the same samples: two numbers, and an attribute.

    Attributes:
        interval: of the mean difference, 95 %; also where few samples carry it.
    """

    interval: Interval

    @classmethod
    def of(cls, differences: Tensor) -> "Paired":
        """From the differences of the samples, (N,)."""
        count = len(differences)
        error = float(differences.std()) / count**0.5 if count > 1 else math.nan
        found = cls(float(differences.mean()), error)
        found.interval = interval(differences)
        return found


@checks_keywords
@keeps_random_state
def paired(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    first: Sequence[float] = (0.0, 0.0),
    second: Sequence[float] = (0.0, 0.0),
    *,
    directions: Plane | Source = "random",
    seed: int = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    orthogonality: Orthogonality = "filter",
    drawn: Draw = "named",
    filters: Filters = "weights",
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    calibration: Tensor | int = 512,
    precision: Precision = "float32",
) -> Paired:
    """The loss at `first` minus that at `second`, sample by sample: points (α,) of a slice or (α, β) of a surface.

    Computed without the engine, so any loss and BatchNorm policy works.

    Args:
        model, images, labels: as in `surface`.
        first, second: the two points, in units of the directions.
        directions, seed, normalization, biases, orthogonality, drawn, filters: which directions, as in `surface`.
        loss, label_smoothing, weight_decay, batch_norm, calibration, precision: as in `surface`.

    Raises:
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        GridError: given directions are not as many as the coordinates of a point.
        LandscapeError: another reason that you can fix; the message says what to do.

    Source: the standard error of the mean of paired differences, Student 1908 (doi:10.2307/2331554).
    """
    prepared = prepare(
        "surface" if len(first) == 2 else "slice",
        model,
        images=images,
        labels=labels,
        directions=directions,
        seed=seed,
        normalization=normalization,
        biases=biases,
        orthogonality=orthogonality,
        drawn=drawn,
        filters=filters,
        loss=loss,
        label_smoothing=label_smoothing,
        weight_decay=weight_decay,
        batch_norm=batch_norm,
        calibration=calibration,
        precision=precision,
    )
    landscape = prepared.landscape
    differences = landscape.sample_losses(first) - landscape.sample_losses(second)
    return Paired.of(differences + landscape.penalty(first) - landscape.penalty(second))


@checks_keywords
@keeps_random_state
def plane_along(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    directions: Source,
    dimensions: int = 2,
    seed: int = 0,
    precision: Precision = "float32",
    loss: LossName | PerSample = "cross_entropy",
    weight_decay: float = 0.0,
) -> Plane:
    """Directions that depend on the loss at the model, to pass to `surface` and `slice` as `directions`.

    `surface(…, directions="gradient")` computes them by itself; this function is for using them more than once.

    Args:
        model, images, labels, loss, weight_decay, precision: as in `surface`.
        directions: "gradient" (the second direction is random) or "eigenvectors" (of largest |λ|, over all parameters).
        dimensions: 1 or 2 directions.
        seed: of the random second direction, and of the first vector of the search for eigenvectors.

    Raises:
        UnknownNameError: the source is not known.
        CurvatureError: the gradient is zero, or the Hessian has too few eigenvectors.
        DataError: samples and network do not fit together.
    """
    inputs = read_inputs(model, images, labels, loss)
    objective = Objective.of(inputs.model, inputs.images, inputs.labels, precision=precision, loss=loss_of(inputs.loss))
    return plane_of(tried(objective), directions, dimensions, seed, weight_decay)
