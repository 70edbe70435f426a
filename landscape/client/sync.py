"""`ls.Client` and its `Job`, the blocking client: every call returns when the service has responded.

aio.py is generated from this file: run `make client` after a change.
"""

import time
from collections.abc import Iterator
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
from .kinds import Kinds
from .local_state import token_for
from .models import Checkpoint, Dataset, Event, JobInfo, Link, LogEntry, Number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..result import Result
    from ..results.agreement import Agreement

T = TypeVar("T")


@checks_keywords
class Client(Kinds["Job"]):
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
        self._http = httpx.Client(**http.client_arguments(self.url, token or token_for(self.url), timeout))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service."""
        self._http.close()

    def upload(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a checkpoint file. After an interruption the same call resumes the upload.

        Raises:
            LandscapeError: there is no such file, it is empty, or the service does not keep the upload.
            RejectedError: the service has read it (with `wait`) and cannot use it; the message says why.
        """
        with reporting(progress, f"{Path(file).name} (MB)") as report:
            return self._run(uploads.checkpoint(Path(file), name, report, self.url, wait))

    def upload_model(
        self, model: "nn.Module", example_input: "Tensor", *, name: str | None = None, progress: bool | Progress = True
    ) -> Checkpoint:
        """Upload a custom network together with its architecture, see `ls.pack`. The model is not changed.

        Raises:
            CheckpointError: the model cannot be packed, see `ls.pack`.
            LandscapeError, RejectedError: see `upload`.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / "network.safetensors"
            self._run(uploads.pack_model(model, example_input, file))
            return self.upload(file, name=name or type(model).__name__, progress=progress)

    def upload_dataset(
        self, file: str | Path, *, name: str | None = None, wait: bool = True, progress: bool | Progress = True
    ) -> Dataset:
        """Upload a data set: .npz, .h5, .safetensors, or an official archive of CIFAR or MNIST.

        Raises:
            LandscapeError, RejectedError: see `upload`.
        """
        with reporting(progress, f"{Path(file).name} (MB)") as report:
            return self._run(uploads.dataset(Path(file), name, report, self.url, wait))

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """An uploaded checkpoint."""
        return self._run(calls.checkpoint(checkpoint_id))

    def checkpoints(self, *, limit: int | None = None) -> list[Checkpoint]:
        """The uploaded checkpoints, newest first."""
        return self._run(calls.list_all("/checkpoints", Checkpoint.of, limit))

    def choose(self, checkpoint_id: str, index: int) -> Checkpoint:
        """Choose one of the `candidates` for the architecture of a checkpoint."""
        return self._run(calls.choose(checkpoint_id, index))

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete an uploaded checkpoint."""
        self._run(calls.delete(f"/checkpoints/{checkpoint_id}"))

    def dataset(self, name: str) -> Dataset:
        """A data set, by its name, or an uploaded one by its id."""
        return self._run(calls.dataset(name))

    def datasets(self, *, limit: int | None = None) -> list[Dataset]:
        """The built-in data sets, then the uploaded ones, newest first."""
        return self._run(calls.list_all("/datasets", Dataset.of, limit))

    def delete_dataset(self, dataset_id: str) -> None:
        """Delete an uploaded data set."""
        self._run(calls.delete(f"/datasets/{dataset_id}"))

    def submit(self, request: dict[str, Any]) -> "Job":
        """Submit a job by the JSON body of `POST /jobs`. Retries of the request do not create a second job."""
        return Job(self, self._run(calls.submit(request)))

    def job(self, job_id: str) -> "Job":
        """A job, by its id."""
        return Job(self, self._run(calls.job(job_id)))

    def jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        checkpoint: str | None = None,
        limit: int | None = None,
    ) -> list["Job"]:
        """The jobs, newest first, filtered by the given arguments."""
        found = calls.list_all("/jobs", JobInfo.of, limit, state=state, kind=kind, checkpoint=checkpoint)
        return [Job(self, info) for info in self._run(found)]

    def health(self) -> dict[str, Any]:
        """The state of database, store, broker and workers: "ok", or what is wrong."""
        return self._run(calls.get("/health"))

    def version(self) -> dict[str, Any]:
        """The versions of the service and its platform."""
        return self._run(calls.get("/version"))

    def _run(self, flow: Flow[T]) -> T:
        running = RunningFlow(flow, self.retries)
        for _ in self._steps(running):
            pass
        return running.result

    def _events(self, flow: Flow[None]) -> Iterator[Event]:
        return self._steps(RunningFlow(flow, self.retries))

    def _steps(self, running: RunningFlow[Any]) -> Iterator[Event]:
        """Perform the effects of a flow; yields its events."""
        handler = _EffectHandler(self._http)
        try:
            while (effect := running.effect) is not None:
                if isinstance(effect, Event):
                    yield effect
                    running.answer(None)
                    continue
                try:
                    answer = handler.handle(effect)
                except httpx.TransportError as error:
                    running.fail(http.unreachable(self.url, error))
                else:
                    running.answer(answer)
        finally:
            handler.close()


class _EffectHandler:
    """Performs effects: sends requests, sleeps, reads; holds the response that is streaming."""

    def __init__(self, client: httpx.Client):
        self._http = client
        self._response: httpx.Response | None = None
        self._lines: Iterator[str] | None = None

    def handle(self, effect: Effect) -> Any:
        if isinstance(effect, Request):
            return self._send(effect)
        if isinstance(effect, NextLine):
            return None if self._lines is None else next(self._lines, None)
        if isinstance(effect, Wait):
            time.sleep(effect.seconds)
            return None
        assert isinstance(effect, BlockingCall)
        return effect.function()

    def close(self) -> None:
        """Close the response that is streaming, if there is one."""
        if self._response is not None:
            self._response.close()

    def _send(self, request: Request) -> Any:
        self.close()
        built = self._http.build_request(**http.request_arguments(request))
        response = self._http.send(built, stream=request.stream)
        if not request.stream:
            return http.reply(response, response.content)
        self._response = response
        if not response.is_success:
            return http.reply(response, response.read())
        self._lines = response.iter_lines()
        return http.reply(response)


@checks_keywords
class Job:
    """A job of a service; `info` is its state when it was last requested."""

    def __init__(self, client: Client, info: JobInfo):
        self.client: Client = client
        self.info: JobInfo = info

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.info.kind} of {self.info.name!r}, {self.info.state}>"

    @property
    def id(self) -> str:
        """Its id, as in its address on the page."""
        return self.info.id

    def refresh(self) -> "Job":
        """Update `info` to the current state; returns this job."""
        return self._update(calls.job(self.id))

    def wait(self, *, timeout: float | None = None, progress: bool | Progress = True) -> "Result":
        """Wait for its result. Ctrl-C ends the wait, not the job.

        Raises:
            JobEndedError: it failed or was cancelled; `fetch` returns what was computed.
            TimeoutError: it is not done after `timeout` seconds; it keeps running.
            FormatError: see `fetch`.
        """
        with reporting(progress, self.info.name) as report:
            self._update(calls.wait_until_done(self.id, report, timeout))
        return self.fetch()

    def follow(self, *, after: int = 0) -> Iterator[Event]:
        """Its events until it ends; reconnects as needed. `after` is the id of the last tile received.

        Raises:
            UnreachableError: connection after connection broke, or ended, without an event.
        """
        return self.client._events(follow(self.id, after, self.client.retries))

    def cancel(self) -> "Job":
        """Cancel it; what has been computed can still be fetched."""
        return self._update(calls.cancel(self.id))

    def retry(self) -> "Job":
        """Submit a failed or cancelled job again; the new job starts from what this one computed."""
        return Job(self.client, self.client._run(calls.retry(self.id)))

    def refine(
        self,
        factor: int = 1,
        *,
        alpha: Range | None = None,
        beta: Range | None = None,
        repeats: int | None = None,
    ) -> "Job":
        """Submit a job with more points, another range or more seeds; it reuses every point that this one computed.

        Args:
            factor: of parts that every interval of the grid is cut into.
            alpha, beta: ranges, wider or narrower than this job's. Each end is moved outwards to the next coordinate.
            repeats: number of seeds in all.

        Raises:
            RefusedError: it adds nothing, is not possible for this kind, or this job has no grid yet.
        """
        return Job(self.client, self.client._run(calls.refine(self.id, factor, alpha, beta, repeats)))

    def fetch(self) -> "Result":
        """What has been computed so far, as the same type that `ls.surface` returns.

        Raises:
            FormatError: the service's answer is not a result that this version can read.
        """
        return self.client._run(calls.fetch(self.id))

    def reproduce(self, *, progress: bool | Progress = True) -> "Agreement":
        """Submit the same request as a new job, wait for it, and say whether its result is that of this job.

        Raises:
            JobEndedError: the new job failed or was cancelled.
            FormatError: see `fetch`.
        """
        with reporting(progress, self.info.name) as report:
            again = self.client._run(calls.compute_again(self.info.spec, report))
        result = self.fetch()
        return result.difference(again)

    def numbers(self, *, level: float = 0.1, radius: float = 0.5) -> list[Number]:
        """The metrics of its result: each with its value, unit, error and definition."""
        return self.client._run(calls.numbers(self.id, level, radius))

    def log(self) -> list[LogEntry]:
        """Its log, oldest entry first."""
        return self.client._run(calls.list_all(f"/jobs/{self.id}/log", LogEntry.of, None))

    def share(self, *, days: float | None = None) -> str:
        """Create a link that shows this result, and nothing else, to anyone who has it; it expires after `days`."""
        return self.client._run(calls.share(self.id, days, self.client.url))

    def links(self) -> list[Link]:
        """The valid links to this result, without their secrets."""
        return self.client._run(calls.links(self.id))

    def revoke(self, link_id: str) -> None:
        """Revoke a link, with immediate effect."""
        self.client._run(calls.delete(f"/jobs/{self.id}/share/{link_id}"))

    def delete(self) -> None:
        """Delete the job and its result."""
        self.client._run(calls.delete(f"/jobs/{self.id}"))

    def _update(self, flow: Flow[JobInfo]) -> "Job":
        self.info = self.client._run(flow)
        return self
