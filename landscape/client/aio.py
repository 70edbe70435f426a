"""`ls.AsyncClient` and its `AsyncJob`: the methods of `ls.Client` and `Job`, to be awaited.

Generated from sync.py by `python landscape/client/generate_aio.py` (`make client`). Change sync.py, not this file.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from ..evaluation.progress import Progress, reporting
from ..grid import Range
from ..keywords import checks_keywords
from . import calls, http, uploads
from .events import follow
from .flow import BlockingCall, Effect, Flow, NextLine, Request, RunningFlow, Wait
from .kinds import AsyncKinds
from .local_state import token_for
from .models import Checkpoint, Dataset, Event, JobInfo, Link, LogEntry, Number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..result import Result
    from ..results.agreement import Agreement

T = TypeVar("T")


@checks_keywords
class AsyncClient(AsyncKinds["AsyncJob"]):
    """A connection to a service: uploads, jobs and their results.

    Every method raises an `UnreachableError` if the service does not answer, and a `RefusedError` with the service's
    message if it refuses the request.

    Args:
        url: the address of the service, for example "http://127.0.0.1:8000".
        token: an access token, see `landscape token`. Without one: LANDSCAPE_TOKEN, or what `landscape login` saved.
        timeout: seconds without a byte after which a connection counts as broken.
        retries: how often a request is resent if the service is busy or unreachable, with increasing back-off.

    Raises:
        LandscapeError: `url` is not an http or https address.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 6):
        self.url: str = http.base_url(url)
        self.retries: int = retries
        self._http = httpx.AsyncClient(**http.client_arguments(self.url, token or token_for(self.url), timeout))

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to the service."""
        await self._http.aclose()

    async def upload(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a checkpoint file. After an interruption the same call resumes the upload.

        Raises:
            LandscapeError: there is no such file, it is empty, or the service does not keep the upload.
            RejectedError: the service has read it (with `wait`) and cannot use it; the message says why.
        """
        with reporting(progress, f"{Path(file).name} (MB)") as report:
            return await self._run(uploads.checkpoint(Path(file), name, report, self.url, wait))

    async def upload_model(
        self, model: "nn.Module", example_input: "Tensor", *, name: str | None = None, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a custom network together with its architecture, see `ls.pack`. The model is not changed.

        Raises:
            CheckpointError: the model cannot be packed, see `ls.pack`.
            LandscapeError, RejectedError: see `upload`.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.safetensors"
            await self._run(uploads.pack_model(model, example_input, file))
            return await self.upload(file, name=name or type(model).__name__, progress=progress)

    async def upload_dataset(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Dataset:
        """Upload a data set: .npz, .h5, .safetensors, or an official archive of CIFAR or MNIST.

        Raises:
            LandscapeError, RejectedError: see `upload`.
        """
        with reporting(progress, f"{Path(file).name} (MB)") as report:
            return await self._run(uploads.dataset(Path(file), name, report, self.url, wait))

    async def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """An uploaded checkpoint."""
        return await self._run(calls.checkpoint(checkpoint_id))

    async def checkpoints(self, *, limit: int | None = None) -> list[Checkpoint]:
        """The uploaded checkpoints, newest first."""
        return await self._run(calls.list_all("/checkpoints", Checkpoint.of, limit))

    async def choose(self, checkpoint_id: str, index: int) -> Checkpoint:
        """Choose one of the `candidates` for the architecture of a checkpoint."""
        return await self._run(calls.choose(checkpoint_id, index))

    async def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete an uploaded checkpoint."""
        await self._run(calls.delete(f"/checkpoints/{checkpoint_id}"))

    async def dataset(self, name: str) -> Dataset:
        """A data set, by its name, or an uploaded one by its id."""
        return await self._run(calls.dataset(name))

    async def datasets(self, *, limit: int | None = None) -> list[Dataset]:
        """The built-in data sets, then the uploaded ones, newest first."""
        return await self._run(calls.list_all("/datasets", Dataset.of, limit))

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete an uploaded data set."""
        await self._run(calls.delete(f"/datasets/{dataset_id}"))

    async def submit(self, request: dict[str, Any]) -> "AsyncJob":
        """Submit a job by the JSON body of `POST /jobs`. Retries of the request do not create a second job."""
        return AsyncJob(self, await self._run(calls.submit(request)))

    async def job(self, job_id: str) -> "AsyncJob":
        """A job, by its id."""
        return AsyncJob(self, await self._run(calls.job(job_id)))

    async def jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        checkpoint: str | None = None,
        limit: int | None = None,
    ) -> list["AsyncJob"]:
        """The jobs, newest first, filtered by the given arguments."""
        found = calls.list_all("/jobs", JobInfo.of, limit, state=state, kind=kind, checkpoint=checkpoint)
        return [AsyncJob(self, info) for info in await self._run(found)]

    async def health(self) -> dict[str, Any]:
        """The state of database, store, broker and workers: "ok", or what is wrong."""
        return await self._run(calls.get("/health"))

    async def version(self) -> dict[str, Any]:
        """The versions of the service and its platform."""
        return await self._run(calls.get("/version"))

    async def _run(self, flow: Flow[T]) -> T:
        running = RunningFlow(flow, self.retries)
        async for _ in self._steps(running):
            pass
        return running.result

    def _events(self, flow: Flow[None]) -> AsyncIterator[Event]:
        return self._steps(RunningFlow(flow, self.retries))

    async def _steps(self, running: RunningFlow[Any]) -> AsyncIterator[Event]:
        """Perform the effects of a flow; yields its events."""
        handler = _EffectHandler(self._http)
        try:
            while (effect := running.effect) is not None:
                if isinstance(effect, Event):
                    yield effect
                    running.answer(None)
                    continue
                try:
                    answer = await handler.handle(effect)
                except httpx.TransportError as error:
                    running.fail(http.unreachable(self.url, error))
                else:
                    running.answer(answer)
        finally:
            await handler.close()


class _EffectHandler:
    """Performs effects: sends requests, sleeps, reads; holds the response that is streaming."""

    def __init__(self, client: httpx.AsyncClient):
        self._http = client
        self._response: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def handle(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return await self._send(effect)
        if isinstance(effect, NextLine):
            return None if self._lines is None else await anext(self._lines, None)
        if isinstance(effect, Wait):
            await asyncio.sleep(effect.seconds)
            return None
        assert isinstance(effect, BlockingCall)
        return await asyncio.to_thread(effect.function)

    async def close(self) -> None:
        """Close the response that is streaming, if there is one."""
        if self._response is not None:
            await self._response.aclose()

    async def _send(self, request: Request) -> Any:
        await self.close()
        built = self._http.build_request(**http.request_arguments(request))
        response = await self._http.send(built, stream=request.stream)
        if not request.stream:
            return http.reply(response, response.content)
        self._response = response
        if not response.is_success:
            return http.reply(response, await response.aread())
        self._lines = response.aiter_lines()
        return http.reply(response)


@checks_keywords
class AsyncJob:
    """A job of a service; `info` is its state when it was last requested."""

    def __init__(self, client: AsyncClient, info: JobInfo):
        self.client: AsyncClient = client
        self.info: JobInfo = info

    def __repr__(self) -> str:
        return f"<AsyncJob {self.id}: {self.info.kind} of {self.info.name!r}, {self.info.state}>"

    @property
    def id(self) -> str:
        """Its id, as in its address on the page."""
        return self.info.id

    async def refresh(self) -> "AsyncJob":
        """Update `info` to the current state; returns this job."""
        return await self._update(calls.job(self.id))

    async def wait(self, *, timeout: float | None = None, progress: bool | Progress = True) -> "Result":
        """Wait for its result. Ctrl-C ends the wait, not the job.

        Raises:
            JobEndedError: it failed or was cancelled; `fetch` returns what was computed.
            TimeoutError: it is not done after `timeout` seconds; it keeps running.
            FormatError: see `fetch`.
        """
        with reporting(progress, self.info.name) as report:
            await self._update(calls.wait_until_done(self.id, report, timeout))
        return await self.fetch()

    def follow(self, *, after: int = 0) -> AsyncIterator[Event]:
        """Its events until it ends; reconnects as needed. `after` is the id of the last tile received.

        Raises:
            UnreachableError: connection after connection broke, or ended, without an event.
        """
        return self.client._events(follow(self.id, after, self.client.retries))

    async def cancel(self) -> "AsyncJob":
        """Cancel it; what has been computed can still be fetched."""
        return await self._update(calls.cancel(self.id))

    async def retry(self) -> "AsyncJob":
        """Submit a failed or cancelled job again; the new job starts from what this one computed."""
        return AsyncJob(self.client, await self.client._run(calls.retry(self.id)))

    async def refine(
        self,
        factor: int = 1,
        *,
        alpha: Range | None = None,
        beta: Range | None = None,
        repeats: int | None = None,
    ) -> "AsyncJob":
        """Submit a job with more points, another range or more seeds; it reuses every point that this one computed.

        Args:
            factor: of parts that every interval of the grid is cut into.
            alpha, beta: ranges, wider or narrower than this job's. Each end is moved outwards to the next coordinate.
            repeats: number of seeds in all.

        Raises:
            RefusedError: it adds nothing, is not possible for this kind, or this job has no grid yet.
        """
        return AsyncJob(self.client, await self.client._run(calls.refine(self.id, factor, alpha, beta, repeats)))

    async def fetch(self) -> "Result":
        """What has been computed so far, as the same type that `ls.surface` returns.

        Raises:
            FormatError: the service's answer is not a result that this version can read.
        """
        return await self.client._run(calls.fetch(self.id))

    async def reproduce(self, *, progress: bool | Progress = True) -> "Agreement":
        """Submit the same request as a new job, wait for it, and say whether its result is that of this job.

        Raises:
            JobEndedError: the new job failed or was cancelled.
            FormatError: see `fetch`.
        """
        with reporting(progress, self.info.name) as report:
            again = await self.client._run(calls.compute_again(self.info.spec, report))
        result = await self.fetch()
        return result.difference(again)

    async def numbers(self, *, level: float = 0.1, radius: float = 0.5) -> list[Number]:
        """The metrics of its result: each with its value, unit, error and definition."""
        return await self.client._run(calls.numbers(self.id, level, radius))

    async def log(self) -> list[LogEntry]:
        """Its log, oldest entry first."""
        return await self.client._run(calls.list_all(f"/jobs/{self.id}/log", LogEntry.of, None))

    async def share(self, *, days: float | None = None) -> str:
        """Create a link that shows this result, and nothing else, to anyone who has it; it expires after `days`."""
        return await self.client._run(calls.share(self.id, days, self.client.url))

    async def links(self) -> list[Link]:
        """The valid links to this result, without their secrets."""
        return await self.client._run(calls.links(self.id))

    async def revoke(self, link_id: str) -> None:
        """Revoke a link, with immediate effect."""
        await self.client._run(calls.delete(f"/jobs/{self.id}/share/{link_id}"))

    async def delete(self) -> None:
        """Delete the job and its result."""
        await self.client._run(calls.delete(f"/jobs/{self.id}"))

    async def _update(self, flow: Flow[JobInfo]) -> "AsyncJob":
        self.info = await self.client._run(flow)
        return self
