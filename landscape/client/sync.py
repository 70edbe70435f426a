"""`ls.Client` and its `Job`: every call blocks until the service has answered.

aio.py is generated from this file: run `make client` after a change.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import httpx

from ..evaluation.progress import Progress, shown
from ..grid import Grid
from . import calls, http, uploads
from .events import follow
from .flow import Course, Effect, Flow, NextLine, Request, Wait, Work
from .local_state import token_for
from .models import Checkpoint, Dataset, Event, JobInfo, Link, LogEntry, Number
from .options import CheckpointLike, Choices, Curved, Repeatable, body

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..result import Result

T = TypeVar("T")


class Client:
    """A service, and what one may ask of it.

    Args:
        url: of the service, for example "http://127.0.0.1:8000".
        token: as `landscape token` made it; LANDSCAPE_TOKEN, or the one `landscape login` kept, where absent.
        timeout: seconds without a byte after which a connection counts as broken.
        retries: how often a request is sent again where the service is busy or away, with growing pauses.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 6):
        self.url, self.retries = http.checked(url), retries
        self._http = httpx.Client(**http.options(self.url, token or token_for(self.url), timeout))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def upload(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a checkpoint file; called again after a break it goes on where it was.

        Raises:
            RejectedError: it was read (with `wait`) and is not usable; the message says why.
        """
        with shown(progress, f"{Path(file).name} (MB)") as report:
            return self._run(uploads.checkpoint(Path(file), name, report, self.url, wait))

    def upload_model(
        self, model: "nn.Module", example_input: "Tensor", *, name: str | None = None, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a network of one's own with its architecture; see `ls.pack`. The model is not changed."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.safetensors"
            self._run(uploads.packed(model, example_input, file))
            return self.upload(file, name=name or type(model).__name__, progress=progress)

    def upload_dataset(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Dataset:
        """Upload samples: .npz, .h5, .safetensors, or an official archive of CIFAR or MNIST."""
        with shown(progress, f"{Path(file).name} (MB)") as report:
            return self._run(uploads.dataset(Path(file), name, report, self.url, wait))

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        return self._run(calls.checkpoint(checkpoint_id))

    def checkpoints(self, *, limit: int | None = None) -> list[Checkpoint]:
        """Newest first."""
        return self._run(calls.listed("/checkpoints", Checkpoint.of, limit))

    def choose(self, checkpoint_id: str, index: int) -> Checkpoint:
        """Say which of the `candidates` of a checkpoint is meant."""
        return self._run(calls.choose(checkpoint_id, index))

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        self._run(calls.delete(f"/checkpoints/{checkpoint_id}"))

    def dataset(self, name: str) -> Dataset:
        """By name, or an uploaded one by its id."""
        return self._run(calls.dataset(name))

    def datasets(self, *, limit: int | None = None) -> list[Dataset]:
        """The built-in ones, then uploads, newest first."""
        return self._run(calls.listed("/datasets", Dataset.of, limit))

    def delete_dataset(self, dataset_id: str) -> None:
        self._run(calls.delete(f"/datasets/{dataset_id}"))

    def surface(self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Repeatable]) -> "Job":
        """Ask for L(θ* + αδ + βη) on a grid."""
        return self.submit(body("surface", grid, choices, checkpoint=checkpoint))

    def slice(self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Repeatable]) -> "Job":
        """Ask for L(θ* + αδ) on a line."""
        return self.submit(body("slice", grid, choices, checkpoint=checkpoint))

    def curvature(self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Curved]) -> "Job":
        """Ask for the extreme eigenvalues of the Hessian over a grid."""
        return self.submit(body("curvature", grid, choices, checkpoint=checkpoint))

    def interpolation(
        self, checkpoint: CheckpointLike, end: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Choices]
    ) -> "Job":
        """Ask for L on the line from one checkpoint (0) to another (1)."""
        return self.submit(body("interpolation", grid, choices, checkpoint=checkpoint, end=end))

    def plane(
        self,
        checkpoint: CheckpointLike,
        second: CheckpointLike,
        third: CheckpointLike,
        *,
        grid: Grid | None = None,
        **choices: Unpack[Choices],
    ) -> "Job":
        """Ask for L on the plane through three checkpoints."""
        return self.submit(body("plane", grid, choices, checkpoint=checkpoint, second=second, third=third))

    def trajectory(
        self, epochs: Sequence[CheckpointLike], *, grid: Grid | None = None, **choices: Unpack[Choices]
    ) -> "Job":
        """Ask for the path of a training run in the plane of its principal components, and the loss around it."""
        return self.submit(body("trajectory", grid, choices, epochs=epochs))

    def submit(self, request: dict[str, Any]) -> "Job":
        """Ask for a job by the JSON of `POST /api/jobs`; sent again after a break, it is still one job."""
        return Job(self, self._run(calls.submit(request)))

    def job(self, job_id: str) -> "Job":
        return Job(self, self._run(calls.job(job_id)))

    def jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        checkpoint: str | None = None,
        limit: int | None = None,
    ) -> list["Job"]:
        """Newest first."""
        found = calls.listed("/jobs", JobInfo.of, limit, state=state, kind=kind, checkpoint=checkpoint)
        return [Job(self, info) for info in self._run(found)]

    def health(self) -> dict[str, Any]:
        """Database, store, broker, workers: each "ok" or what is wrong."""
        return self._run(calls.get("/health"))

    def version(self) -> dict[str, Any]:
        return self._run(calls.get("/version"))

    def _run(self, flow: Flow[T]) -> T:
        course = Course(flow, self.retries)
        for _ in self._steps(course):
            pass
        return course.result

    def _events(self, flow: Flow[None]) -> Iterator[Event]:
        return self._steps(Course(flow, self.retries))

    def _steps(self, course: Course[Any]) -> Iterator[Event]:
        """Perform every effect of a flow; its events come out."""
        performer = _Performer(self._http)
        try:
            while (effect := course.effect) is not None:
                if isinstance(effect, Event):
                    yield effect
                    course.answer(None)
                    continue
                try:
                    answer = performer.perform(effect)
                except httpx.TransportError as error:
                    course.fail(http.unreachable(self.url, error))
                else:
                    course.answer(answer)
        finally:
            performer.close()


class _Performer:
    """Sends requests, waits and reads; holds the one response that streams."""

    def __init__(self, client: httpx.Client):
        self._http = client
        self._response: httpx.Response | None = None
        self._lines: Iterator[str] | None = None

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return self._send(effect)
        if isinstance(effect, NextLine):
            return None if self._lines is None else next(self._lines, None)
        if isinstance(effect, Wait):
            time.sleep(effect.seconds)
            return None
        assert isinstance(effect, Work)
        return effect.do()

    def close(self) -> None:
        """Close the response that streams, if there is one."""
        if self._response is not None:
            self._response.close()

    def _send(self, request: Request) -> Any:
        self.close()
        built = self._http.build_request(**http.arguments(request))
        response = self._http.send(built, stream=request.stream)
        if not request.stream:
            return http.reply_of(response, response.content)
        self._response = response
        if not response.is_success:
            return http.reply_of(response, response.read())
        self._lines = response.iter_lines()
        return http.reply_of(response)


class Job:
    """A job of a service; `info` is what was last heard of it."""

    def __init__(self, client: Client, info: JobInfo):
        self.client, self.info = client, info

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.info.kind} of {self.info.name!r}, {self.info.state}>"

    @property
    def id(self) -> str:
        return self.info.id

    def refresh(self) -> "Job":
        """This job with what is known now."""
        return self._with(calls.job(self.id))

    def wait(self, *, timeout: float | None = None, progress: bool | Progress = True) -> "Result":
        """Its result, once it is done; Ctrl-C stops the waiting, not the job.

        Raises:
            JobEndedError: it failed or was cancelled; `fetch` has what was computed.
            TimeoutError: it is not done after `timeout` seconds; it goes on.
        """
        with shown(progress, self.info.name) as report:
            self._with(calls.ended(self.id, report, timeout))
        return self.fetch()

    def follow(self, *, after: int = 0) -> Iterator[Event]:
        """Its events to the end, also through broken connections; `after` is the id of the last tile known."""
        return self.client._events(follow(self.id, after, self.client.retries))

    def cancel(self) -> "Job":
        """End it; what has been computed can be fetched."""
        return self._with(calls.cancel(self.id))

    def retry(self) -> "Job":
        """A new job like this failed or cancelled one, with what that had computed."""
        return Job(self.client, self.client._run(calls.retry(self.id)))

    def fetch(self) -> "Result":
        """What has been computed so far, as the type that `ls.surface` returns."""
        return self.client._run(calls.fetch(self.id))

    def numbers(self, *, level: float = 0.1, radius: float = 0.5) -> list[Number]:
        """The numbers beside the picture."""
        return self.client._run(calls.numbers(self.id, level, radius))

    def log(self) -> list[LogEntry]:
        """What happened to it, the oldest first."""
        return self.client._run(calls.listed(f"/jobs/{self.id}/log", LogEntry.of, None))

    def share(self, *, days: float | None = None) -> str:
        """A link that shows this result, and nothing else, to whoever has it; for so many days, or until revoked."""
        return self.client._run(calls.share(self.id, days, self.client.url))

    def links(self) -> list[Link]:
        """The links that open this result still; their secrets were told once."""
        return self.client._run(calls.links(self.id))

    def revoke(self, link_id: str) -> None:
        """End a link at once."""
        self.client._run(calls.delete(f"/jobs/{self.id}/share/{link_id}"))

    def delete(self) -> None:
        """Remove the job and its result."""
        self.client._run(calls.delete(f"/jobs/{self.id}"))

    def _with(self, flow: Flow[JobInfo]) -> "Job":
        self.info = self.client._run(flow)
        return self
