"""`landscape login`, `upload`, `jobs`, `fetch`, `cancel`, `delete`, and `--server`: computation by a service."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..disk import digest_of
from ..errors import LandscapeError, UnknownNameError
from ..kinds import KINDS
from .options import AsJson, Output, TokenFile
from .output import INTERRUPTED, print_json, require_writable, say

if TYPE_CHECKING:
    from ..client import Checkpoint, Client, Dataset, Job
    from ..evaluation.progress import Progress
    from ..result import Result
    from .request import Request

NO_SERVER = "Name the service with --server http://host:8000, or set LANDSCAPE_SERVER."

Server = Annotated[str | None, typer.Option(envvar="LANDSCAPE_SERVER", metavar="URL", help="Address of the service.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job; see `landscape jobs`.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    for command in (login, upload, jobs, fetch, cancel, delete):
        app.command()(command)


def login(
    server: Server = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="FILE", help="File with the token.", show_default="prompt for it"
        ),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the saved token of this server.")] = False,
) -> None:
    """Save an access token for a service.

    The service checks the token first. It is saved in a file in your configuration folder that only you can read.

    \b
    Example:
      landscape login --server http://lab:8000
    """
    from ..client import Client
    from ..client.local_state import read_token, remove_token, save_token

    url = _required(server)
    if forget:
        remove_token(url)
        say(f"No token is saved for {url}.")
        return
    token = read_token(token_file) if token_file else typer.prompt("Token", hide_input=True, err=True).strip()
    with Client(url, token) as service:
        service.jobs(limit=1)
    say(f"The token for {url} is saved in {save_token(url, token)}.")


def upload(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="A checkpoint, or a data set with --dataset."),
    ],
    dataset: Annotated[bool, typer.Option("--dataset", help="The file is a data set.")] = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name at the service.", show_default="the file's name")
    ] = None,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Upload a checkpoint or a data set.

    After an interruption the same command resumes the upload.

    \b
    Example:
      landscape upload checkpoint.pt --server http://lab:8000
    """
    with connect(server, token_file) as service:
        send = service.upload_dataset if dataset else service.upload
        uploaded = send(file, name=name)
    print_json(asdict(uploaded)) if as_json else say(*_description(uploaded))


def jobs(
    state: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only jobs in this state: queued, running, done, failed or cancelled."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most this many jobs.")] = 20,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    \b
    Example:
      landscape jobs --state running --server http://lab:8000
    """
    with connect(server, token_file) as service:
        found = [job.info for job in service.jobs(state=state, limit=limit)]
    if as_json:
        print_json([asdict(info) for info in found])
        return
    for info in found:
        points = f"{info.progress.done}/{info.progress.total}"
        say(f"{info.id}  {info.state:9}  {info.kind:13}  {points:>15}  {info.name}")


def fetch(
    job: JobId,
    output: Output,
    now: Annotated[bool, typer.Option("--now", help="Write what has been computed so far; do not wait.")] = False,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Wait for a job and write its result to a file.

    \b
    Example:
      landscape fetch 0f3a… -o surface.npz --server http://lab:8000
    """
    require_writable(output)
    with connect(server, token_file) as service:
        found = service.job(job)
        result = found.fetch() if now else wait_for(found, True)
    result.save(output)
    answer = {"output": str(output), "job": asdict(found.info)}
    print_json(answer) if as_json else say(f"{result.caption}; written to {output}")


def cancel(job: JobId, server: Server = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Cancel a job; what it has computed can still be fetched.

    \b
    Example:
      landscape cancel 0f3a… --server http://lab:8000
    """
    with connect(server, token_file) as service:
        info = service.job(job).cancel().info
    print_json(asdict(info)) if as_json else say(f"{info.id}  {info.state}")


def delete(job: JobId, server: Server = None, token_file: TokenFile = None) -> None:
    """Delete a job and its result from the service.

    \b
    Example:
      landscape delete 0f3a… --server http://lab:8000
    """
    with connect(server, token_file) as service:
        service.job(job).delete()
    say(f"{job}  deleted")


def compute(request: "Request", server: str, token_file: Path | None, progress: "bool | Progress" = True) -> "Result":
    """The result of a request, computed by a service; files that it does not have yet are uploaded first."""
    if request.directions is not None:
        raise LandscapeError("Directions from a file can only be used on this machine. Leave --server out.")
    with connect(server, token_file) as service:
        checkpoints = [_upload_once(service, Path(file), progress) for file in request.checkpoints]
        return wait_for(service.submit(_body(service, request, checkpoints, progress)), progress)


def wait_for(job: "Job", progress: "bool | Progress") -> "Result":
    """The result of a job; Ctrl-C ends the wait and says how to fetch the result later."""
    try:
        return job.wait(progress=progress)
    except KeyboardInterrupt:
        say("", f"The job keeps running. Fetch its result with: landscape fetch {job.id} -o FILE", err=True)
        raise typer.Exit(INTERRUPTED) from None


def connect(server: str | None, token_file: Path | None) -> "Client":
    """A client of the service."""
    from ..client import Client
    from ..client.local_state import read_token

    return Client(_required(server), read_token(token_file) if token_file else None)


def _required(server: str | None) -> str:
    if not server:
        raise LandscapeError(NO_SERVER)
    return server


def _upload_once(service: "Client", file: Path, progress: "bool | Progress") -> "Checkpoint":
    """The checkpoint in a file, uploaded only if the service does not have it."""
    sha256 = digest_of(file)
    known = [one for one in service.checkpoints(limit=200) if one.sha256 == sha256 and one.state == "ready"]
    return known[0] if known else service.upload(file, progress=progress)


def _body(
    service: "Client", request: "Request", checkpoints: "list[Checkpoint]", progress: "bool | Progress"
) -> dict[str, Any]:
    from ..client.options import job_body

    kind = KINDS[request.kind]
    named: dict[str, Any] = {role.name: checkpoint for role, checkpoint in zip(kind.roles, checkpoints, strict=False)}
    if kind.center.many:
        named = {kind.center.name: checkpoints}
    options = {
        **request.options,
        "dataset": _upload_dataset_once(service, request.dataset, progress),
        "split": request.split,
        "subset": asdict(request.subset) if request.subset else None,
        "architecture": _label(checkpoints[0], request.architecture),
    }
    return job_body(request.kind, request.grid, options, **named)


def _upload_dataset_once(service: "Client", dataset: str, progress: "bool | Progress") -> str:
    """The data set's name at the service; a file is uploaded once, under a name with the digest of its content."""
    from ..client import RefusedError

    file = Path(dataset)
    if not file.is_file():
        return dataset
    name = f"{file.stem[:40]}-{digest_of(file)[:12]}"
    try:
        if service.dataset(name).state == "ready":
            return name
    except RefusedError as refused:
        if refused.status != 404:
            raise
    service.upload_dataset(file, name=name, progress=progress)
    return name


def _label(checkpoint: "Checkpoint", chosen: int | None) -> str | None:
    """The label of the chosen architecture."""
    if chosen is None:
        return None
    labels = [candidate["label"] for candidate in checkpoint.candidates]
    if not 0 <= chosen < len(labels):
        raise UnknownNameError("architecture", chosen, [f"{n} ({label})" for n, label in enumerate(labels)])
    return str(labels[chosen])


def _description(uploaded: "Checkpoint | Dataset") -> list[str]:
    """Lines that describe an upload."""
    from ..client import Checkpoint

    if not isinstance(uploaded, Checkpoint):
        return [f"{uploaded.id}  {uploaded.name}  {uploaded.state}"]
    if uploaded.architecture:
        return [f"{uploaded.id}  {uploaded.name}  {uploaded.architecture['label']}"]
    candidates = [f"  --architecture {index}: {one['label']}" for index, one in enumerate(uploaded.candidates)]
    return [f"{uploaded.id}  {uploaded.name}  {uploaded.state}; several architectures fit:", *candidates]
