"""The functions of `import landscape as ls`, one per kind of result: from a model and data to a `Result`.

None of them changes the caller's model or any global random state.

Generated from landscape/kinds/ by `python -m landscape.kinds.generate` (`make kinds`): change those.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .directions.plane import Plane
from .evaluation.progress import Progress
from .evaluation.run import compute
from .evaluation.setup import Checkpoint, Trajectory
from .grid import Grid
from .keywords import checks_keywords
from .kinds.prepare import prepare
from .objective.losses import PerSample
from .objective.random_state import keeps_random_state
from .options import BatchNorm, Biases, Draw, Filters, LossName, Normalization, Orthogonality, Over, Precision, Source
from .result import Result


@checks_keywords
@keeps_random_state
def surface(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    directions: Plane | Source = "random",
    seed: int = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    orthogonality: Orthogonality = "filter",
    drawn: Draw = "named",
    filters: Filters = "weights",
    repeats: int = 1,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """The surface L(θ* + αδ + βη) on a grid, as in Li et al. 2018.

    With `repeats`, the mean over several seeds; `seed_deviations`, `lowest_losses` and `highest_losses` hold
    the spread.

    Args:
        model: Any `torch.nn.Module`; it is copied, not changed.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 51 points on [-1, 1] along both axes.
        directions: 'random'; 'gradient' (with two axes and a random second direction); 'eigenvectors' of
            the Hessian with the largest |λ|; or a `Plane`, for example of `plane_along`. Only random
            directions are drawn by the following options. Default: 'random'.
        seed: Seed of the directions. 0 or more. Default: 0.
        normalization: Norms of the directions: every filter (the paper's choice), layer or weight as in the
            network; 1 for every filter ('dfilter') or layer ('dlayer'); or as drawn. One of 'filter',
            'layer', 'weight', 'dfilter', 'dlayer', 'none'. Default: 'filter'.
        biases: Directions of biases and normalization parameters: fixed at zero, as the network's parameter
            (the authors' code), or random. One of 'fixed', 'parameter', 'random'. Default: 'fixed'.
        orthogonality: Make the two directions orthogonal inside every filter, over all parameters together,
            or not. One of 'filter', 'overall', 'none'. Default: 'filter'.
        drawn: Draw by name and seed, the same in any process; or in the authors' order from one generator.
            One of 'named', 'authors'. Default: 'named'.
        filters: What has filters: weights; or any parameter with two axes or more (the authors' code),
            scales with several axes too: of LayerNorm over two axes, layer scales (C, 1, 1), the g of
            weight norm. One of 'weights', 'axes'. Default: 'weights'.
        repeats: Number of seeds, from `seed` on; above 1, their mean and the spread. 1 or more and at most
            64. Default: 1.
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: the grid has one axis, or given directions are not two.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> ls.surface(model, images, labels, grid=ls.Grid.square(3), seed=1, progress=False).losses.shape
        (3, 3)
    """
    return compute(
        prepare(
            "surface",
            model,
            images=images,
            labels=labels,
            grid=grid,
            directions=directions,
            seed=seed,
            normalization=normalization,
            biases=biases,
            orthogonality=orthogonality,
            drawn=drawn,
            filters=filters,
            repeats=repeats,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )


@checks_keywords
@keeps_random_state
def slice(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    directions: Plane | Source = "random",
    seed: int = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    orthogonality: Orthogonality = "filter",
    drawn: Draw = "named",
    filters: Filters = "weights",
    repeats: int = 1,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """The slice L(θ* + αδ) on a line.

    With `repeats`, the mean over several seeds; `seed_deviations`, `lowest_losses` and `highest_losses` hold
    the spread.

    Args:
        model: Any `torch.nn.Module`; it is copied, not changed.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 51 points on [-1, 1].
        directions: 'random'; 'gradient' (with two axes and a random second direction); 'eigenvectors' of
            the Hessian with the largest |λ|; or a `Plane`, for example of `plane_along`. Only random
            directions are drawn by the following options. Default: 'random'.
        seed: Seed of the directions. 0 or more. Default: 0.
        normalization: Norms of the directions: every filter (the paper's choice), layer or weight as in the
            network; 1 for every filter ('dfilter') or layer ('dlayer'); or as drawn. One of 'filter',
            'layer', 'weight', 'dfilter', 'dlayer', 'none'. Default: 'filter'.
        biases: Directions of biases and normalization parameters: fixed at zero, as the network's parameter
            (the authors' code), or random. One of 'fixed', 'parameter', 'random'. Default: 'fixed'.
        orthogonality: Make the two directions orthogonal inside every filter, over all parameters together,
            or not. One of 'filter', 'overall', 'none'. Default: 'filter'.
        drawn: Draw by name and seed, the same in any process; or in the authors' order from one generator.
            One of 'named', 'authors'. Default: 'named'.
        filters: What has filters: weights; or any parameter with two axes or more (the authors' code),
            scales with several axes too: of LayerNorm over two axes, layer scales (C, 1, 1), the g of
            weight norm. One of 'weights', 'axes'. Default: 'weights'.
        repeats: Number of seeds, from `seed` on; above 1, their mean and the spread. 1 or more and at most
            64. Default: 1.
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: the grid has two axes, or given directions are two.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> ls.slice(model, images, labels, grid=ls.Grid.line(5), repeats=2, progress=False).losses.shape
        (5, 1)
    """
    return compute(
        prepare(
            "slice",
            model,
            images=images,
            labels=labels,
            grid=grid,
            directions=directions,
            seed=seed,
            normalization=normalization,
            biases=biases,
            orthogonality=orthogonality,
            drawn=drawn,
            filters=filters,
            repeats=repeats,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )


@checks_keywords
@keeps_random_state
def curvature(
    model: nn.Module,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    directions: Plane | Source = "random",
    seed: int = 0,
    normalization: Normalization = "filter",
    biases: Biases = "fixed",
    orthogonality: Orthogonality = "filter",
    drawn: Draw = "named",
    filters: Filters = "weights",
    over: Over = "filters",
    steps: int = 60,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid, and the loss, as in Li et al. 2018.

    Every point costs up to `steps` products of the Hessian with a vector, each about six passes over the data:
    hundreds of times as long as a surface.

    Args:
        model: Any `torch.nn.Module`; it is copied, not changed.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 11 points on [-1, 1] along both axes.
        directions: 'random'; 'gradient' (with two axes and a random second direction); 'eigenvectors' of
            the Hessian with the largest |λ|; or a `Plane`, for example of `plane_along`. Only random
            directions are drawn by the following options. Default: 'random'.
        seed: Seed of the directions. 0 or more. Default: 0.
        normalization: Norms of the directions: every filter (the paper's choice), layer or weight as in the
            network; 1 for every filter ('dfilter') or layer ('dlayer'); or as drawn. One of 'filter',
            'layer', 'weight', 'dfilter', 'dlayer', 'none'. Default: 'filter'.
        biases: Directions of biases and normalization parameters: fixed at zero, as the network's parameter
            (the authors' code), or random. One of 'fixed', 'parameter', 'random'. Default: 'fixed'.
        orthogonality: Make the two directions orthogonal inside every filter, over all parameters together,
            or not. One of 'filter', 'overall', 'none'. Default: 'filter'.
        drawn: Draw by name and seed, the same in any process; or in the authors' order from one generator.
            One of 'named', 'authors'. Default: 'named'.
        filters: What has filters: weights; or any parameter with two axes or more (the authors' code),
            scales with several axes too: of LayerNorm over two axes, layer scales (C, 1, 1), the g of
            weight norm. One of 'weights', 'axes'. Default: 'weights'.
        over: Parameters the Hessian is taken over: those with filters, or all. One of 'filters', 'all'.
            Default: 'filters'.
        steps: Products of the Hessian with a vector, per point at most. 4 or more. Default: 60.
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: given directions are not as many as the axes of the grid.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> found = ls.curvature(model, images, labels, grid=ls.Grid.line(3), steps=8, progress=False)
        >>> found.array('lambda_max').shape
        (3, 1)
    """
    return compute(
        prepare(
            "curvature",
            model,
            images=images,
            labels=labels,
            grid=grid,
            directions=directions,
            seed=seed,
            normalization=normalization,
            biases=biases,
            orthogonality=orthogonality,
            drawn=drawn,
            filters=filters,
            over=over,
            steps=steps,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )


@checks_keywords
@keeps_random_state
def interpolation(
    model: nn.Module,
    end: Checkpoint,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics as well.

    The self-check compares the far end with `end` evaluated alone.

    Args:
        model: Any `torch.nn.Module`; it is copied, not changed.
        end: The checkpoint at α = 1: a state dict or a module of the same architecture.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 41 points on [-0.5, 1.5].
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: the grid has two axes.
        ShapeMismatchError: `end` is another network's.
        PlaneError: `end` is equal to `model`.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> end = {name: 2 * tensor for name, tensor in model.state_dict().items()}
        >>> ls.interpolation(model, end, images, labels, progress=False).losses.shape
        (41, 1)
    """
    return compute(
        prepare(
            "interpolation",
            model,
            end,
            images=images,
            labels=labels,
            grid=grid,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )


@checks_keywords
@keeps_random_state
def plane(
    model: nn.Module,
    second: Checkpoint,
    third: Checkpoint,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """L on the plane through three checkpoints; coordinates are distances in parameter space.

    The self-check compares the loss at the other two with the checkpoints evaluated alone. See
    `directions.plane.plane_through`.

    Args:
        model: Any `torch.nn.Module`; it is copied, not changed.
        second: The checkpoint on the first axis: a state dict or a module of the same architecture.
        third: The third checkpoint, like the second.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 25 × 25 points around the checkpoints.
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: the grid has one axis.
        ShapeMismatchError: a checkpoint is another network's.
        PlaneError: the three are equal, or on one line.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> second, third = (torch.nn.Linear(4, 3) for _ in range(2))
        >>> ls.plane(model, second, third, images, labels, progress=False).losses.shape
        (25, 25)
    """
    return compute(
        prepare(
            "plane",
            model,
            second,
            third,
            images=images,
            labels=labels,
            grid=grid,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )


@checks_keywords
@keeps_random_state
def trajectory(
    model: nn.Module,
    epochs: Trajectory,
    images: Any,
    labels: Any = None,
    *,
    grid: Grid | None = None,
    directions: Plane | None = None,
    loss: LossName | PerSample = "cross_entropy",
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    batch_norm: BatchNorm = "frozen",
    compare_batch_norm: Sequence[BatchNorm] = (),
    calibration: Tensor | int = 512,
    batch: int | None = None,
    also: Mapping[str, Any] | None = None,
    precision: Precision = "float32",
    choice: Mapping[str, Any] | None = None,
    progress: bool | Progress = True,
) -> Result:
    """The path of a training run in the plane of its two principal components, and the loss around it.

    `result.path` holds for each epoch the coordinates, the true loss (with the epoch's own statistics), the
    loss of the plane at its projection, their difference, and the share of the distance that the plane misses;
    the provenance holds the share of variance of the two components. The parameters of `model` are not used.

    Args:
        model: A network of the checkpoints' architecture.
        epochs: Checkpoints in the order of training, four or more: state dicts, modules, .safetensors
            files, or the folder that a `Recorder` or `landscape train` wrote.
        images, labels: Two tensors; or as `images` alone a DataLoader, a Dataset or batches, read once in
            the order of the data set. Batches that are mappings go to `model(**batch)`, and a callable
            `loss(outputs, batch)` computes what is plotted. See `data.inputs.read_inputs`.
        grid: By default 25 × 25 points around the checkpoints.
        directions: Another plane to project the path onto than that of its principal components; a random
            one shows how little of the path it holds.
        loss: 'cross_entropy', 'mse', or a callable (outputs, labels) -> (N,), one loss per sample. Default:
            'cross_entropy'.
        label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
        weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
            decay minimizes. 0 or more. Default: 0.0.
        batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
            batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
        compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
            'frozen', 'recalibrated', 'batch'. Default: ().
        calibration: Samples on which BatchNorm is recalibrated: their number, evenly spaced, or a tensor
            (K, …). Default: 512.
        batch: Samples of a batch where the values depend on it: all of them by default if the losses of
            samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
        also: More data sets by name, such as {'test': (images, labels)}, evaluated in the same pass into
            separate columns.
        precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
            One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        choice: The engine's choice in an earlier result, `result.provenance['engine']`: the same bits in
            any process.
        progress: True for a bar in a terminal or notebook, False for none, or a function of (points done,
            total). Ctrl-C returns what is computed so far.

    Raises:
        GridError: the grid has one axis.
        PlaneError, ShapeMismatchError, NotFiniteError: see `directions.trajectory.principal`.
        CheckpointError: a file cannot be read.
        UnknownOptionError, UnknownNameError: an option, or the name that it is given, is not known.
        DataError, NotFiniteError: samples or options are not possible, or a parameter is not finite.
        MemoryExhaustedError: memory does not suffice for the smallest batch.
        LandscapeError: another reason that you can fix; the message says what to do.

    Example:
        >>> import torch, landscape as ls
        >>> model = torch.nn.Linear(4, 3)
        >>> images, labels = torch.rand(8, 4), torch.arange(8) % 3
        >>> epochs = [torch.nn.Linear(4, 3) for _ in range(4)]
        >>> len(ls.trajectory(model, epochs, images, labels, progress=False).path['losses'])
        4
    """
    return compute(
        prepare(
            "trajectory",
            model,
            epochs,
            images=images,
            labels=labels,
            grid=grid,
            directions=directions,
            loss=loss,
            label_smoothing=label_smoothing,
            weight_decay=weight_decay,
            batch_norm=batch_norm,
            compare_batch_norm=compare_batch_norm,
            calibration=calibration,
            batch=batch,
            also=also,
            precision=precision,
            choice=choice,
        ),
        progress=progress,
    )
