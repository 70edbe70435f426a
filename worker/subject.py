"""From a request to a landscape that can be evaluated: one function per kind, and what its provenance needs besides.

Imports landscape (and so torch), store, spec. Never touches the database.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from landscape.api import plane_along
from landscape.checkpoints.load import clean_file, load, own_copy
from landscape.checkpoints.state_dict import mismatch
from landscape.data import Dataset
from landscape.directions.plane import Plane, between, through
from landscape.directions.trajectory import Path, plane_of, principal, project
from landscape.evaluation.curvature_map import CurvatureLandscape
from landscape.evaluation.landscape import Landscape
from landscape.evaluation.run import landmark_losses
from landscape.evaluation.seeds import RepeatedLandscape
from landscape.evaluation.setup import around
from landscape.grid import Grid
from landscape.objective.losses import loss_for
from landscape.packing import CONSTANT
from service.jobs.spec import AnySpec, CurvatureSpec, InterpolationSpec, PlaneSpec, SliceSpec, SurfaceSpec
from service.storage.store import Store

State = Mapping[str, Tensor]
Stop = Callable[[], bool]

_DRAWN = {"seed", "normalization", "biases", "orthogonality", "drawn"}
_OPTIONS = {"loss", "label_smoothing", "weight_decay", "batch_norm", "compare_batch_norm", "calibration", "precision"}


class Subject:
    """A request with everything it names loaded: checkpoints, samples, and the landscape they make."""

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
            architecture: of all checkpoints of the request, with its label.
            weights: digests of their weights in the store, the center first.
            samples: from a split of the data set to its samples.
            facts: what the file of the center says of itself.
            choice: how the engine computes, where the worker that prepared the job has chosen.
        """
        self.spec, self.architecture = spec, architecture
        files = [clean_file(store.path(sha256)) for sha256 in weights]
        self.graph = files[0][1]
        self._constants = {name: tensor for name, tensor in files[0][0].items() if name.startswith(CONSTANT)}
        self.states: list[State] = [_weights(architecture, state) for state, _ in files]
        model = self._model(self.states[0]).to(device)
        self.facts, self.whole = facts, samples(spec.split)
        self.samples = self.whole.subset(spec.subset.count, spec.subset.seed) if spec.subset else self.whole
        also = samples(spec.also) if spec.also else None
        options = {
            **spec.model_dump(include=_OPTIONS),
            "also": {spec.also: (also.images, also.labels)} if also else None,
            "choice": choice,
            **({} if self.whole.targets == "classes" else {"loss": loss_for(self.whole.targets)}),
        }
        self.landscape = self._landscape(model, options)

    @cached_property
    def grid(self) -> Grid:
        """The grid asked for, or the one that holds every landmark or the whole path (every tile asks for it)."""
        if self.spec.grid is not None:
            return self.spec.grid.grid()
        coordinates = self._path.coordinates if self.spec.kind == "trajectory" else None
        return around(coordinates or [at for _, at in self.landscape.plane.landmarks], count=25)

    def provenance(self, stop: Stop) -> dict[str, Any]:
        """How the numbers are made; for the kinds with several checkpoints also how each fares in the plane."""
        spec, landscape = self.spec, self.landscape
        own = landscape.provenance(self.grid, stop)
        warning = mismatch(self.facts, own["center"]["accuracy"], spec.split)
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
            "landmark_losses": landmark_losses(landscape, self._landmark_states()),
            **({"path": self._path_with_losses(stop)} if spec.kind == "trajectory" else {}),
        }

    def _model(self, state: State) -> nn.Module:
        return load({**self.architecture, "copy": ""}, {**self._constants, **state}, self.graph)

    def _landscape(self, model: nn.Module, options: dict[str, Any]) -> Landscape:
        spec = self.spec
        images, labels = self.samples.images, self.samples.labels
        if isinstance(spec, CurvatureSpec):
            drawn = spec.model_dump(include=_DRAWN)
            return CurvatureLandscape(model, images, labels, over=spec.over, steps=spec.steps, **drawn, **options)
        if isinstance(spec, SurfaceSpec | SliceSpec):
            return self._around(spec, model, options)
        return Landscape(model, images, labels, plane=self._plane(model), **options)

    def _around(self, spec: SurfaceSpec | SliceSpec, model: nn.Module, options: dict[str, Any]) -> Landscape:
        images, labels, dimensions = self.samples.images, self.samples.labels, 2 if spec.kind == "surface" else 1
        if spec.directions != "random":
            plane = plane_along(
                model,
                images,
                labels,
                source=spec.directions,
                dimensions=dimensions,
                seed=spec.seed,
                loss=options["loss"],
            )
            return Landscape(model, images, labels, plane=plane, **options)
        drawn = {"dimensions": dimensions, **spec.model_dump(include=_DRAWN)}
        if spec.repeats > 1:
            seeds = range(drawn.pop("seed"), spec.seed + spec.repeats)
            return RepeatedLandscape(model, images, labels, seeds=seeds, **drawn, **options)
        return Landscape(model, images, labels, **drawn, **options)

    def _plane(self, model: nn.Module) -> Plane:
        names = [name for name, _ in model.named_parameters()]
        if isinstance(self.spec, InterpolationSpec):
            return between(self.states[0], self.states[1])
        if isinstance(self.spec, PlaneSpec):
            return through(*self.states, parameters=names)
        return plane_of(principal(self._epochs(), parameters=names))

    def _landmark_states(self) -> dict[str, State]:
        if isinstance(self.spec, InterpolationSpec):
            return {"end": self.states[1]}
        if isinstance(self.spec, PlaneSpec):
            return {"second": self.states[1], "third": self.states[2]}
        return {}

    def _epochs(self) -> list[State]:
        return [*self.states[1:], self.states[0]]

    @cached_property
    def _path(self) -> Path:
        names = [name for name, _ in self.landscape.model.named_parameters()]
        return project(self._epochs(), self.landscape.plane, parameters=names)

    def _path_with_losses(self, stop: Stop) -> dict[str, Any]:
        path, landscape = self._path, self.landscape
        device = landscape.objective.images.device
        own = [landscape.loss_of_model(self._model(state).to(device), stop) for state in self._epochs()]
        seen = [value.loss for value in landscape.values(path.coordinates, stop)]
        described: dict[str, Any] = replace(path, losses=tuple(own), plane_losses=tuple(seen)).to_json()
        return described


def _weights(architecture: Mapping[str, Any], state: State) -> State:
    """Parameters and buffers of the copy that is meant, without the constants of a packed network."""
    return {name: tensor for name, tensor in own_copy(architecture, state).items() if not name.startswith(CONSTANT)}
