"""Methods of `ls.Client` and `ls.AsyncClient`, one per kind of job, with its options.

A missing option has the default of the service.

Generated from landscape/kinds/ by `python -m landscape.kinds.generate` (`make kinds`): change those.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from ..grid import Grid
from ..options import (
    BatchNorm,
    Biases,
    Draw,
    Filters,
    LossName,
    Normalization,
    Orthogonality,
    Over,
    Precision,
    Source,
    Split,
)
from .options import CheckpointLike, job_body

Job = TypeVar("Job")  # of the client: `Job` or `AsyncJob`


class Kinds(Generic[Job]):
    """The blocking methods that submit a job."""

    def submit(self, request: dict[str, Any]) -> Job:
        """Submit a job by the JSON body of `POST /jobs`."""
        raise NotImplementedError

    def surface(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        repeats: int = 1,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The surface L(θ* + αδ + βη) on a grid, as in Li et al. 2018.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 51 points on [-1, 1] along both axes.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "surface",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "repeats": repeats,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    def slice(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        repeats: int = 1,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The slice L(θ* + αδ) on a line.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 51 points on [-1, 1].
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "slice",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "repeats": repeats,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    def curvature(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        over: Over = "filters",
        steps: int = 60,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid, and the loss, as in Li et al. 2018.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 11 points on [-1, 1] along both axes.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            steps: Products of the Hessian with a vector, per point at most. 4 or more and at most 1000.
                Default: 60.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "curvature",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "over": over,
                    "steps": steps,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    def interpolation(
        self,
        checkpoint: CheckpointLike,
        end: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics as well.

        Args:
            checkpoint: The network at α = 0. Its id, or its upload.
            end: The checkpoint at α = 1. Its id, or its upload.
            grid: By default 41 points on [-0.5, 1.5].
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "interpolation",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
                end=end,
            )
        )

    def plane(
        self,
        checkpoint: CheckpointLike,
        second: CheckpointLike,
        third: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: L on the plane through three checkpoints; coordinates are distances in parameter space.

        Args:
            checkpoint: The network at (0, 0). Its id, or its upload.
            second: The checkpoint on the first axis. Its id, or its upload.
            third: The third checkpoint. Its id, or its upload.
            grid: By default 25 × 25 points around the checkpoints.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "plane",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
                second=second,
                third=third,
            )
        )

    def trajectory(
        self,
        epochs: Sequence[CheckpointLike],
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The path of a training run in the plane of its two principal components, and the loss around it.

        Args:
            epochs: Checkpoints in the order of training, four or more. Ids, or results of uploads.
            grid: By default 25 × 25 points around the checkpoints.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return self.submit(
            job_body(
                "trajectory",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                epochs=epochs,
            )
        )


class AsyncKinds(Generic[Job]):
    """The awaitable methods that submit a job."""

    async def submit(self, request: dict[str, Any]) -> Job:
        """Submit a job by the JSON body of `POST /jobs`."""
        raise NotImplementedError

    async def surface(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        repeats: int = 1,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The surface L(θ* + αδ + βη) on a grid, as in Li et al. 2018.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 51 points on [-1, 1] along both axes.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "surface",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "repeats": repeats,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    async def slice(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        repeats: int = 1,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The slice L(θ* + αδ) on a line.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 51 points on [-1, 1].
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "slice",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "repeats": repeats,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    async def curvature(
        self,
        checkpoint: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        directions: Source = "random",
        seed: int = 0,
        normalization: Normalization = "filter",
        biases: Biases = "fixed",
        orthogonality: Orthogonality = "filter",
        drawn: Draw = "named",
        filters: Filters = "weights",
        over: Over = "filters",
        steps: int = 60,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid, and the loss, as in Li et al. 2018.

        Args:
            checkpoint: The network. Its id, or its upload.
            grid: By default 11 points on [-1, 1] along both axes.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            directions: 'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of
                the Hessian with the largest |λ|. Default: 'random'.
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
            steps: Products of the Hessian with a vector, per point at most. 4 or more and at most 1000.
                Default: 60.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "curvature",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "directions": directions,
                    "seed": seed,
                    "normalization": normalization,
                    "biases": biases,
                    "orthogonality": orthogonality,
                    "drawn": drawn,
                    "filters": filters,
                    "over": over,
                    "steps": steps,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
            )
        )

    async def interpolation(
        self,
        checkpoint: CheckpointLike,
        end: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics as well.

        Args:
            checkpoint: The network at α = 0. Its id, or its upload.
            end: The checkpoint at α = 1. Its id, or its upload.
            grid: By default 41 points on [-0.5, 1.5].
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "interpolation",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
                end=end,
            )
        )

    async def plane(
        self,
        checkpoint: CheckpointLike,
        second: CheckpointLike,
        third: CheckpointLike,
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: L on the plane through three checkpoints; coordinates are distances in parameter space.

        Args:
            checkpoint: The network at (0, 0). Its id, or its upload.
            second: The checkpoint on the first axis. Its id, or its upload.
            third: The third checkpoint. Its id, or its upload.
            grid: By default 25 × 25 points around the checkpoints.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "plane",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                checkpoint=checkpoint,
                second=second,
                third=third,
            )
        )

    async def trajectory(
        self,
        epochs: Sequence[CheckpointLike],
        *,
        grid: Grid | None = None,
        architecture: str | None = None,
        dataset: str = "digits",
        split: Split = "train",
        subset: int | Mapping[str, int] | None = None,
        name: str | None = None,
        loss: LossName = "cross_entropy",
        label_smoothing: float = 0.0,
        weight_decay: float = 0.0,
        batch_norm: BatchNorm = "frozen",
        compare_batch_norm: Sequence[BatchNorm] = (),
        calibration: int = 512,
        batch: int | None = None,
        also: Split | None = None,
        precision: Precision = "float32",
    ) -> Job:
        """Submit: The path of a training run in the plane of its two principal components, and the loss around it.

        Args:
            epochs: Checkpoints in the order of training, four or more. Ids, or results of uploads.
            grid: By default 25 × 25 points around the checkpoints.
            architecture: Label of the architecture, where several fit; the chosen one if omitted.
            dataset: Data set: its name, or the id of an uploaded one. Default: 'digits'.
            split: Split of the data set. One of 'train', 'test'. Default: 'train'.
            subset: A fixed random subset of the first split; all of it if omitted.
            name: Name of the job on the page.
            loss: Loss function. One of 'cross_entropy', 'mse'. Default: 'cross_entropy'.
            label_smoothing: Label smoothing of the cross-entropy. 0 or more and less than 1. Default: 0.0.
            weight_decay: Adds half of it times the squared norm of all parameters, the term that SGD's weight
                decay minimizes. 0 or more and at most 1. Default: 0.0.
            batch_norm: Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each
                batch. One of 'frozen', 'recalibrated', 'batch'. Default: 'frozen'.
            compare_batch_norm: Further BatchNorm policies to compare with, in separate columns. One of
                'frozen', 'recalibrated', 'batch'. Default: ().
            calibration: Number of samples on which BatchNorm is recalibrated. 2 or more and at most 100000.
                Default: 512.
            batch: Samples of a batch where the values depend on it: all of them by default if the losses of
                samples depend on each other (a contrastive loss), 256 for BatchNorm. 1 or more.
            also: A second split, evaluated in the same pass into separate columns. One of 'train', 'test'.
            precision: Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.
                One of 'float32', 'float64', 'bfloat16'. Default: 'float32'.
        """
        return await self.submit(
            job_body(
                "trajectory",
                grid,
                {
                    "architecture": architecture,
                    "dataset": dataset,
                    "split": split,
                    "subset": subset,
                    "name": name,
                    "loss": loss,
                    "label_smoothing": label_smoothing,
                    "weight_decay": weight_decay,
                    "batch_norm": batch_norm,
                    "compare_batch_norm": compare_batch_norm,
                    "calibration": calibration,
                    "batch": batch,
                    "also": also,
                    "precision": precision,
                },
                epochs=epochs,
            )
        )
