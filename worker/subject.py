"""The subject of a job, inside its cell: its network, checkpoints and samples, and the landscape to evaluate.

Each kind of job is prepared by landscape.kinds.prepare, as in the library and the shell.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from landscape.checkpoints.load import load, own_copy
from landscape.checkpoints.state_dict import mismatch
from landscape.data import Dataset
from landscape.evaluation.run import Prepared, Rows, coordinates, further_samples, landmark_losses, path_with_losses
from landscape.evaluation.seeds import RepeatedLandscape
from landscape.grid import Point
from landscape.kinds.prepare import prepare
from landscape.objective.losses import loss_for
from landscape.packing import CONSTANT, ORIGINAL
from landscape.results.self_check import not_verified
from service.jobs.spec import AnySpec

State = Mapping[str, Tensor]
Report = Callable[[str, int, int], None]  # a step of preparing, how many of its parts are done, and of how many


class Subject:
    """A job with its checkpoints and samples loaded, and the landscape to evaluate."""

    def __init__(
        self,
        spec: AnySpec,
        architecture: Mapping[str, Any],
        weights: Sequence[tuple[State, str | None]],
        *,
        samples: Dataset,
        in_split: int,
        also: Dataset | None,
        facts: Mapping[str, str],
        device: torch.device,
        choice: Mapping[str, Any] | None,
    ):
        """
        Args:
            architecture: of all checkpoints of the job, with its label.
            weights: of every checkpoint, the center first; the center with the graph of a packed network.
            samples: those to evaluate on; `in_split`, how many its split has.
            also: the samples of a further split, if the job names one.
            facts: metadata in the file of the center.
            choice: how the engine computes, as chosen when the job was prepared.

        Raises:
            LandscapeError: checkpoints, samples and options do not fit together; see `landscape.kinds.prepare.prepare`.
            FileError, UnknownNetworkError: see `landscape.checkpoints.load.load`.
        """
        self.spec, self.architecture, self.facts = spec, architecture, facts
        self.samples, self.in_split = samples, in_split
        model = load(architecture, *weights[0]).to(device)
        options = {**self._options(also), "choice": choice}
        self.prepared = self._prepared(model, [_weights(architecture, state) for state, _ in weights], options)
        self.landscape, self.grid = self.prepared.landscape, self.prepared.grid

    def rows(self, points: Sequence[Point], earlier: tuple[NDArray[np.float64], int] | None) -> Rows:
        """One row per point; from `earlier` values of so many seeds, only the others are evaluated.

        Raises:
            MemoryExhaustedError: see `landscape.evaluation.landscape.Landscape.rows`.
        """
        at = coordinates(self.grid, points)
        if earlier is None:
            return self.landscape.rows(at)
        assert isinstance(self.landscape, RepeatedLandscape)
        return self.landscape.rows_after(at, *earlier)

    def provenance(self, report: Report) -> dict[str, Any]:
        """How the numbers are computed; for kinds with several checkpoints also the loss of each in the plane.

        Raises:
            ShapeMismatchError: a checkpoint does not fit the center, see `landscape.evaluation.run.with_state`.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        spec, landscape = self.spec, self.landscape
        own = landscape.provenance(self.grid)
        unsure = not_verified(own)
        warnings = (mismatch(self.facts, own["center"]["accuracy"], spec.split), unsure and f"The network is {unsure}.")
        path = path_with_losses(self.prepared, report=partial(report, "path"))
        return {
            **own,
            "warnings": [warning for warning in warnings if warning],
            "columns": list(landscape.columns),
            "dataset": self.samples.name,
            "dataset_id": spec.dataset,
            "normalization_of_data": {"mean": list(self.samples.mean), "std": list(self.samples.std)},
            "split": spec.split,
            "subset": spec.subset.model_dump() if spec.subset else None,
            "samples_in_split": self.in_split,
            "data_sha256": self.samples.digest,
            "also": further_samples(landscape),
            "threads": torch.get_num_threads(),
            "architecture": dict(self.architecture),
            "landmark_losses": landmark_losses(self.prepared),
            "request": {**self.prepared.request, **self._names()},
            **({"path": path} if path else {}),
        }

    def _names(self) -> dict[str, Any]:
        """Checkpoints, data and options of the request, by their names here."""
        spec = self.spec
        return {
            "options": {**self.prepared.request["options"], "also": spec.also},
            "checkpoints": list(spec.checkpoints),
            "dataset": spec.dataset,
            "split": spec.split,
            "subset": spec.subset.model_dump() if spec.subset else None,
            "architecture": spec.architecture,
        }

    def _options(self, other: Dataset | None) -> dict[str, Any]:
        """The options of the kind, as the library takes them."""
        spec, also = self.spec, {}
        if spec.also and other is not None:
            also = {spec.also: (other.images, other.labels)}
        loss = {} if self.samples.targets == "classes" else {"loss": loss_for(self.samples.targets)}
        own = {option.name: spec.options[option.name] for option in spec.definition.options if option.in_job}
        return {**own, **loss, "also": also}

    def _prepared(self, model: nn.Module, states: Sequence[State], options: dict[str, Any]) -> Prepared:
        spec, (own, *others) = self.spec, states
        roles: Sequence[Any] = [[*others, own]] if spec.definition.center.many else others
        samples = {"images": self.samples.images, "labels": self.samples.labels}
        grid = spec.grid.grid() if spec.grid else None
        return prepare(spec.kind, model, *roles, **samples, grid=grid, own=own, **options)


def _weights(architecture: Mapping[str, Any], state: State) -> State:
    """Parameters and buffers of the chosen copy of the weights, without the other tensors of a packed network."""
    every, others = own_copy(architecture, state), (CONSTANT, ORIGINAL)
    return {name: tensor for name, tensor in every.items() if not name.startswith(others)}
