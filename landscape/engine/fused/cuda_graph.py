"""The plan for GPUs: a whole point as one CUDA graph. Everything that changes between points is updated in place.

The samples are on the device in the layout and precision of the computation; coefficients, weights, losses and results
are buffers at fixed addresses, so that the launches of a point can be captured once and replayed; nothing is read back
before the end of a tile. Without a GPU the same work runs on the same buffers without capture, as in the tests.

Not measured: no GPU was available. A custom loss is not captured, since it may read values.
Off: `choice={"engine": "fused", "batch": …}`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...objective.objective import Objective, Value
from ...stop import Stop, Stopped
from ..graph.layers import Network
from ..out_of_memory import with_smaller_batches
from ..tf32 import exact_float32
from .kernels import Kernel
from .plan import FusedPlan

WARM_UPS = 2  # runs before a capture, in which libraries choose kernels and allocate workspaces


class CudaGraphPlan(FusedPlan):
    """The fused layers on a device, `batch` samples at a time: one launch per point, one synchronization per tile.

    Raises as `FusedPlan`.
    """

    name = "captured"

    def __init__(
        self,
        objective: Objective,
        network: Network,
        directions: int,
        kernels: Sequence[Kernel],
        *,
        batch: int,
        precision: str = "float32",
    ):
        super().__init__(objective, network, directions, kernels, batch=batch, precision=precision)
        self.objective = replace(self.objective, images=self.to_compute_format(objective.samples(0, None)))
        device = objective.images.device
        self.coefficients = torch.zeros(directions, dtype=self.flat.center.dtype, device=device)
        self.replay: Replay | None = None

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point; one synchronization for all of them.

        Raises:
            Stopped: `stop`, called before every point, returned true.
            MemoryExhaustedError: memory does not suffice for a single sample.
        """
        with exact_float32(), torch.inference_mode():
            rows, self.batch = with_smaller_batches(
                lambda batch: self._rows(points, batch, stop), self.batch, divisible=self.divisible
            )
        return [Value(*row) for row in rows]

    def _rows(self, points: Sequence[Sequence[float]], batch: int, stop: Stop | None) -> list[list[float]]:
        if self.replay is None or batch != self.batch:
            self.replay = None  # frees its memory before more is allocated
            self.replay = Replay(
                lambda: self._point(batch), self.coefficients.device, capture=self.objective.loss.scores
            )
        coordinates = torch.tensor(points, dtype=self.coefficients.dtype).to(self.coefficients.device)
        rows = []
        for at in coordinates.view(len(points), -1):
            if stop is not None and stop():
                raise Stopped
            self.coefficients.copy_(at)
            rows.append(self.replay().clone())
        found: list[list[float]] = torch.stack(rows).tolist()  # the one synchronization
        return found

    def _point(self, batch: int) -> Tensor:
        """Loss, accuracy and standard error (3,) at the coefficients in the buffer, float64; nothing is read back."""
        weights = self.weights(self.coefficients)
        losses, hits = [], []
        batches = zip(*(torch.split(one, batch) for one in (self.objective.images, self.objective.labels)), strict=True)
        for images, labels in batches:
            outputs = self.outputs(images, weights, keep_nan=True)
            losses.append(self.objective.loss(outputs, labels))
            hits.append(self.objective.loss.correct(outputs, labels, losses[-1]))
        return _row(torch.cat(losses), [hit for hit in hits if hit is not None])


def _row(losses: Tensor, hits: list[Tensor]) -> Tensor:
    accuracy = torch.cat(hits).double().mean() if hits else torch.full_like(losses[0], torch.nan)
    error = losses.std() / len(losses) ** 0.5 if len(losses) > 1 else torch.full_like(losses[0], torch.nan)
    return torch.stack([losses.mean(), accuracy, error])


class Replay:
    """Work on buffers at fixed addresses: captured as a CUDA graph on a GPU, otherwise rerun every time."""

    def __init__(self, work: Callable[[], Tensor], device: torch.device, *, capture: bool = True):
        self.work = work
        self.graph: torch.cuda.CUDAGraph | None = None
        if device.type == "cuda" and capture:
            self._capture(device)

    def __call__(self) -> Tensor:
        """The result of the work, in the shape that it gives; the next call may overwrite it."""
        if self.graph is None:
            return self.work()
        self.graph.replay()
        return self.result

    def _capture(self, device: torch.device) -> None:
        beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                self.work()
        torch.cuda.current_stream(device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.result = self.work()
        self.graph = graph
