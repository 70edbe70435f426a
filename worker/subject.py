"""The subject of a job: the checkpoints and samples that it names, loaded, and the landscape to evaluate.

Each kind of job is prepared by landscape.kinds.prepare, as in the library and the shell.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.checkpoints.load import clean_file, load, own_copy
from landscape.checkpoints.state_dict import mismatch
from landscape.data import Dataset
from landscape.evaluation.run import Prepared, Rows, coordinates, further_samples, landmark_losses, path_with_losses
from landscape.evaluation.seeds import RepeatedLandscape
from landscape.grid import Point
from landscape.kinds.prepare import prepare
from landscape.objective.losses import loss_for
from landscape.objective.objective import Stop
from landscape.packing import CONSTANT
from landscape.results.arrays import VALUES
from service.jobs.spec import AnySpec
from service.queue.values import unpack
from service.storage.store import Store

State = Mapping[str, Tensor]


class Subject:
    """A job with its checkpoints and samples loaded, and the landscape to evaluate."""

    def __init__(
        self,
        spec: AnySpec,
        architecture: Mapping[str, Any],
        weights: Sequence[str],
        *,
        store: Store,
        samples: Callable[[str], Dataset],
        facts: Mapping[str, str],
        device: torch.device,
        choice: Mapping[str, Any] | None,
    ):
        """
        Args:
            architecture: of all checkpoints of the job, with its label.
            weights: digests of their weights in the store, the center first.
            samples: from a split of the data set to its samples.
            facts: metadata in the file of the center.
            choice: how the engine computes, as chosen by the worker that prepared the job.

        Raises:
            LandscapeError: checkpoints, samples and options do not fit together; see `landscape.kinds.prepare.prepare`.
            FileError, UnknownNetworkError: see `landscape.checkpoints.load.load`.
            ServiceError: the store cannot give a file; see `Store.path`.
        """
        self.spec, self.architecture, self.facts = spec, architecture, facts
        self.whole = samples(spec.split)
        self.samples = self.whole.subset(spec.subset.count, spec.subset.seed) if spec.subset else self.whole
        files = [clean_file(store.path(sha256)) for sha256 in weights]
        model = load(architecture, *files[0]).to(device)
        options = {**self._options(samples), "choice": choice}
        self.prepared = self._prepared(model, [_weights(architecture, state) for state, _ in files], options)
        self.landscape, self.grid = self.prepared.landscape, self.prepared.grid

    def rows(self, points: Sequence[Point], earlier: tuple[bytes, int] | None, stop: Stop) -> Rows:
        """One row per point; from `earlier` values of so many seeds, only the others are evaluated.

        Raises:
            Stopped, MemoryExhaustedError: see `landscape.evaluation.landscape.Landscape.rows`.
        """
        at = coordinates(self.grid, points)
        if earlier is None:
            return self.landscape.rows(at, stop)
        assert isinstance(self.landscape, RepeatedLandscape)
        values, count = earlier
        known = unpack(values, self.landscape.columns if count > 1 else VALUES)
        return self.landscape.rows_after(at, known, count, stop)

    def provenance(self, stop: Stop) -> dict[str, Any]:
        """How the numbers are computed; for kinds with several checkpoints also the loss of each in the plane.

        Raises:
            Stopped: `stop`, called before every batch, returned true.
            ShapeMismatchError: a checkpoint does not fit the center, see `landscape.evaluation.run.with_state`.
            MemoryExhaustedError: memory does not suffice for the smallest batch.
        """
        spec, landscape = self.spec, self.landscape
        own = landscape.provenance(self.grid, stop)
        warning = mismatch(self.facts, own["center"]["accuracy"], spec.split)
        path = path_with_losses(self.prepared, stop)
        return {
            **own,
            "warnings": [warning] if warning else [],
            "columns": list(landscape.columns),
            "dataset": self.whole.name,
            "dataset_id": spec.dataset,
            "normalization_of_data": {"mean": list(self.whole.mean), "std": list(self.whole.std)},
            "split": spec.split,
            "subset": spec.subset.model_dump() if spec.subset else None,
            "samples_in_split": len(self.whole),
            "data_sha256": self.samples.digest,
            "also": further_samples(landscape),
            "threads": torch.get_num_threads(),
            "architecture": dict(self.architecture),
            "landmark_losses": landmark_losses(self.prepared, stop),
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

    def _options(self, samples: Callable[[str], Dataset]) -> dict[str, Any]:
        """The options of the kind, as the library takes them."""
        spec, also = self.spec, {}
        if spec.also:
            other = samples(spec.also)
            also = {spec.also: (other.images, other.labels)}
        loss = {} if self.whole.targets == "classes" else {"loss": loss_for(self.whole.targets)}
        own = {option.name: spec.options[option.name] for option in spec.definition.options if option.in_job}
        return {**own, **loss, "also": also}

    def _prepared(self, model: nn.Module, states: Sequence[State], options: dict[str, Any]) -> Prepared:
        spec, (own, *others) = self.spec, states
        roles: Sequence[Any] = [[*others, own]] if spec.definition.center.many else others
        samples = {"images": self.samples.images, "labels": self.samples.labels}
        grid = spec.grid.grid() if spec.grid else None
        return prepare(spec.kind, model, *roles, **samples, grid=grid, own=own, **options)


def _weights(architecture: Mapping[str, Any], state: State) -> State:
    """Parameters and buffers of the chosen copy of the weights, without the constants of a packed network."""
    return {name: tensor for name, tensor in own_copy(architecture, state).items() if not name.startswith(CONSTANT)}
