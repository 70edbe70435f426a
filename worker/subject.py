"""The subject of a job: the checkpoints and samples that it names, loaded, and the landscape to evaluate.

Each kind of job is set up by landscape.evaluation.setup, as in the library and the shell.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.checkpoints.load import clean_file, load, own_copy
from landscape.checkpoints.state_dict import mismatch
from landscape.data import Dataset
from landscape.evaluation import setup
from landscape.evaluation.run import Prepared, landmark_losses, path_with_losses
from landscape.objective.losses import loss_for
from landscape.objective.objective import Stop
from landscape.packing import CONSTANT
from service.jobs.spec import AnySpec, CurvatureSpec, InterpolationSpec, PlaneSpec, SliceSpec, SurfaceSpec
from service.storage.store import Store

State = Mapping[str, Tensor]

_DRAWN = {"seed", "normalization", "biases", "orthogonality", "drawn"}
_OPTIONS = {"loss", "label_smoothing", "weight_decay", "batch_norm", "compare_batch_norm", "calibration", "precision"}


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
        """
        self.spec, self.architecture, self.facts = spec, architecture, facts
        self.whole = samples(spec.split)
        self.samples = self.whole.subset(spec.subset.count, spec.subset.seed) if spec.subset else self.whole
        files = [clean_file(store.path(sha256)) for sha256 in weights]
        model = load(architecture, *files[0]).to(device)
        options = {**self._options(samples), "choice": choice}
        self.prepared = self._prepared(model, [_weights(architecture, state) for state, _ in files], options)
        self.landscape, self.grid = self.prepared.landscape, self.prepared.grid

    def provenance(self, stop: Stop) -> dict[str, Any]:
        """How the numbers are computed; for kinds with several checkpoints also the loss of each in the plane."""
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
            "architecture": dict(self.architecture),
            "landmark_losses": landmark_losses(self.prepared, stop),
            **({"path": path} if path else {}),
        }

    def _options(self, samples: Callable[[str], Dataset]) -> dict[str, Any]:
        """Options of every kind."""
        spec, also = self.spec, {}
        if spec.also:
            other = samples(spec.also)
            also = {spec.also: (other.images, other.labels)}
        loss = {} if self.whole.targets == "classes" else {"loss": loss_for(self.whole.targets)}
        grid = spec.grid.grid() if spec.grid else None
        return {**spec.model_dump(include=_OPTIONS), **loss, "also": also, "grid": grid}

    def _prepared(self, model: nn.Module, states: Sequence[State], options: dict[str, Any]) -> Prepared:
        spec, images, labels, (own, *others) = self.spec, self.samples.images, self.samples.labels, states
        if isinstance(spec, InterpolationSpec):
            [end] = others
            return setup.interpolation(model, end, images, labels, start=own, **options)
        if isinstance(spec, PlaneSpec):
            second, third = others
            return setup.through(model, second, third, images, labels, first=own, **options)
        if isinstance(spec, SurfaceSpec | SliceSpec | CurvatureSpec):
            return self._around(spec, model, {**spec.model_dump(include=_DRAWN), **options})
        return setup.trajectory(model, [*others, own], images, labels, **options)

    def _around(
        self, spec: SurfaceSpec | SliceSpec | CurvatureSpec, model: nn.Module, options: dict[str, Any]
    ) -> Prepared:
        """A landscape around one checkpoint."""
        samples = self.samples.images, self.samples.labels
        if isinstance(spec, CurvatureSpec):
            return setup.curvature(model, *samples, over=spec.over, steps=spec.steps, **options)
        if spec.repeats > 1:
            first = options.pop("seed")
            return setup.repeated(model, *samples, seeds=range(first, first + spec.repeats), **options)
        if spec.directions != "random":
            options["plane"] = setup.plane_along(
                model,
                *samples,
                source=spec.directions,
                dimensions=2 if spec.kind == "surface" else 1,
                seed=spec.seed,
                loss=options["loss"],
            )
        return setup.KINDS[spec.kind](model, *samples, **options)


def _weights(architecture: Mapping[str, Any], state: State) -> State:
    """Parameters and buffers of the chosen copy of the weights, without the constants of a packed network."""
    return {name: tensor for name, tensor in own_copy(architecture, state).items() if not name.startswith(CONSTANT)}
