"""`ls.AsyncClient` and its `AsyncJob`: the methods of `ls.Client` and `Job`, to be awaited.

Generated from sync.py by `python -m landscape.client.generate_aio` (`make client`). Change sync.py, not this file.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
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


class AsyncClient:
    """A service, and what one may ask of it.

    Args:
        url: of the service, for example "http://127.0.0.1:8000".
        token: as `landscape token` made it; LANDSCAPE_TOKEN, or the one `landscape login` kept, where absent.
        timeout: seconds without a byte after which a connection counts as broken.
        retries: how often a request is sent again where the service is busy or away, with growing pauses.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 6):
        self.url, self.retries = http.checked(url), retries
        self._http = httpx.AsyncClient(**http.options(self.url, token or token_for(self.url), timeout))

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def upload(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a checkpoint file; called again after a break it goes on where it was.

        Raises:
            RejectedError: it was read (with `wait`) and is not usable; the message says why.
        """
        with shown(progress, f"{Path(file).name} (MB)") as report:
            return await self._run(uploads.checkpoint(Path(file), name, report, self.url, wait))

    async def upload_model(
        self, model: "nn.Module", example_input: "Tensor", *, name: str | None = None, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a network of one's own with its architecture; see `ls.pack`. The model is not changed."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.safetensors"
            await self._run(uploads.packed(model, example_input, file))
            return await self.upload(file, name=name or type(model).__name__, progress=progress)

    async def upload_dataset(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Dataset:
        """Upload samples: .npz, .h5, .safetensors, or an official archive of CIFAR or MNIST."""
        with shown(progress, f"{Path(file).name} (MB)") as report:
            return await self._run(uploads.dataset(Path(file), name, report, self.url, wait))

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        return await self._run(calls.checkpoint(checkpoint_id))

    async def checkpoints(self, *, limit: int | None = None) -> list[Checkpoint]:
        """Newest first."""
        return await self._run(calls.listed("/checkpoints", Checkpoint.of, limit))

    async def choose(self, checkpoint_id: str, index: int) -> Checkpoint:
        """Say which of the `candidates` of a checkpoint is meant."""
        return await self._run(calls.choose(checkpoint_id, index))

    async def delete_checkpoint(self, checkpoint_id: str) -> None:
        await self._run(calls.delete(f"/checkpoints/{checkpoint_id}"))

    async def dataset(self, name: str) -> Dataset:
        """By name, or an uploaded one by its id."""
        return await self._run(calls.dataset(name))

    async def datasets(self, *, limit: int | None = None) -> list[Dataset]:
        """The built-in ones, then uploads, newest first."""
        return await self._run(calls.listed("/datasets", Dataset.of, limit))

    async def delete_dataset(self, dataset_id: str) -> None:
        await self._run(calls.delete(f"/datasets/{dataset_id}"))

    async def surface(
        self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Repeatable]
    ) -> "AsyncJob":
        """Ask for L(θ* + αδ + βη) on a grid."""
        return await self.submit(body("surface", grid, choices, checkpoint=checkpoint))

    async def slice(
        self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Repeatable]
    ) -> "AsyncJob":
        """Ask for L(θ* + αδ) on a line."""
        return await self.submit(body("slice", grid, choices, checkpoint=checkpoint))

    async def curvature(
        self, checkpoint: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Curved]
    ) -> "AsyncJob":
        """Ask for the extreme eigenvalues of the Hessian over a grid."""
        return await self.submit(body("curvature", grid, choices, checkpoint=checkpoint))

    async def interpolation(
        self, checkpoint: CheckpointLike, end: CheckpointLike, *, grid: Grid | None = None, **choices: Unpack[Choices]
    ) -> "AsyncJob":
        """Ask for L on the line from one checkpoint (0) to another (1)."""
        return await self.submit(body("interpolation", grid, choices, checkpoint=checkpoint, end=end))

    async def plane(
        self,
        checkpoint: CheckpointLike,
        second: CheckpointLike,
        third: CheckpointLike,
        *,
        grid: Grid | None = None,
        **choices: Unpack[Choices],
    ) -> "AsyncJob":
        """Ask for L on the plane through three checkpoints."""
        return await self.submit(body("plane", grid, choices, checkpoint=checkpoint, second=second, third=third))

    async def trajectory(
        self, epochs: Sequence[CheckpointLike], *, grid: Grid | None = None, **choices: Unpack[Choices]
    ) -> "AsyncJob":
        """Ask for the path of a training run in the plane of its principal components, and the loss around it."""
        return await self.submit(body("trajectory", grid, choices, epochs=epochs))

    async def submit(self, request: dict[str, Any]) -> "AsyncJob":
        """Ask for a job by the JSON of `POST /api/jobs`; sent again after a break, it is still one job."""
        return AsyncJob(self, await self._run(calls.submit(request)))

    async def job(self, job_id: str) -> "AsyncJob":
        return AsyncJob(self, await self._run(calls.job(job_id)))

    async def jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        checkpoint: str | None = None,
        limit: int | None = None,
    ) -> list["AsyncJob"]:
        """Newest first."""
        found = calls.listed("/jobs", JobInfo.of, limit, state=state, kind=kind, checkpoint=checkpoint)
        return [AsyncJob(self, info) for info in await self._run(found)]

    async def health(self) -> dict[str, Any]:
        """Database, store, broker, workers: each "ok" or what is wrong."""
        return await self._run(calls.get("/health"))

    async def version(self) -> dict[str, Any]:
        return await self._run(calls.get("/version"))

    async def _run(self, flow: Flow[T]) -> T:
        course = Course(flow, self.retries)
        async for _ in self._steps(course):
            pass
        return course.result

    def _events(self, flow: Flow[None]) -> AsyncIterator[Event]:
        return self._steps(Course(flow, self.retries))

    async def _steps(self, course: Course[Any]) -> AsyncIterator[Event]:
        """Perform every effect of a flow; its events come out."""
        performer = _Performer(self._http)
        try:
            while (effect := course.effect) is not None:
                if isinstance(effect, Event):
                    yield effect
                    course.answer(None)
                    continue
                try:
                    answer = await performer.perform(effect)
                except httpx.TransportError as error:
                    course.fail(http.unreachable(self.url, error))
                else:
                    course.answer(answer)
        finally:
            await performer.close()


class _Performer:
    """Sends requests, waits and reads; holds the one response that streams."""

    def __init__(self, client: httpx.AsyncClient):
        self._http = client
        self._response: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return await self._send(effect)
        if isinstance(effect, NextLine):
            return None if self._lines is None else await anext(self._lines, None)
        if isinstance(effect, Wait):
            await asyncio.sleep(effect.seconds)
            return None
        assert isinstance(effect, Work)
        return await asyncio.to_thread(effect.do)

    async def close(self) -> None:
        """Close the response that streams, if there is one."""
        if self._response is not None:
            await self._response.aclose()

    async def _send(self, request: Request) -> Any:
        await self.close()
        built = self._http.build_request(**http.arguments(request))
        response = await self._http.send(built, stream=request.stream)
        if not request.stream:
            return http.reply_of(response, response.content)
        self._response = response
        if not response.is_success:
            return http.reply_of(response, await response.aread())
        self._lines = response.aiter_lines()
        return http.reply_of(response)


class AsyncJob:
    """A job of a service; `info` is what was last heard of it."""

    def __init__(self, client: AsyncClient, info: JobInfo):
        self.client, self.info = client, info

    def __repr__(self) -> str:
        return f"<AsyncJob {self.id}: {self.info.kind} of {self.info.name!r}, {self.info.state}>"

    @property
    def id(self) -> str:
        return self.info.id

    async def refresh(self) -> "AsyncJob":
        """This job with what is known now."""
        return await self._with(calls.job(self.id))

    async def wait(self, *, timeout: float | None = None, progress: bool | Progress = True) -> "Result":
        """Its result, once it is done; Ctrl-C stops the waiting, not the job.

        Raises:
            JobEndedError: it failed or was cancelled; `fetch` has what was computed.
            TimeoutError: it is not done after `timeout` seconds; it goes on.
        """
        with shown(progress, self.info.name) as report:
            await self._with(calls.ended(self.id, report, timeout))
        return await self.fetch()

    def follow(self, *, after: int = 0) -> AsyncIterator[Event]:
        """Its events to the end, also through broken connections; `after` is the id of the last tile known."""
        return self.client._events(follow(self.id, after, self.client.retries))

    async def cancel(self) -> "AsyncJob":
        """End it; what has been computed can be fetched."""
        return await self._with(calls.cancel(self.id))

    async def retry(self) -> "AsyncJob":
        """A new job like this failed or cancelled one, with what that had computed."""
        return AsyncJob(self.client, await self.client._run(calls.retry(self.id)))

    async def fetch(self) -> "Result":
        """What has been computed so far, as the type that `ls.surface` returns."""
        return await self.client._run(calls.fetch(self.id))

    async def numbers(self, *, level: float = 0.1, radius: float = 0.5) -> list[Number]:
        """The numbers beside the picture."""
        return await self.client._run(calls.numbers(self.id, level, radius))

    async def log(self) -> list[LogEntry]:
        """What happened to it, the oldest first."""
        return await self.client._run(calls.listed(f"/jobs/{self.id}/log", LogEntry.of, None))

    async def share(self, *, days: float | None = None) -> str:
        """A link that shows this result, and nothing else, to whoever has it; for so many days, or until revoked."""
        return await self.client._run(calls.share(self.id, days, self.client.url))

    async def links(self) -> list[Link]:
        """The links that open this result still; their secrets were told once."""
        return await self.client._run(calls.links(self.id))

    async def revoke(self, link_id: str) -> None:
        """End a link at once."""
        await self.client._run(calls.delete(f"/jobs/{self.id}/share/{link_id}"))

    async def delete(self) -> None:
        """Remove the job and its result."""
        await self.client._run(calls.delete(f"/jobs/{self.id}"))

    async def _with(self, flow: Flow[JobInfo]) -> "AsyncJob":
        self.info = await self.client._run(flow)
        return self
