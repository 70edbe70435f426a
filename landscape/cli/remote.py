"""The shell's part that speaks to a service: upload, jobs, fetch, cancel, delete, login; and `--server` of the others.

Imports typer, errors and, when a command runs, client. Never computes.
"""

from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LandscapeError, UnknownNameError
from .options import AsJson
from .output import require_writable, say_json

if TYPE_CHECKING:
    from ..client import Checkpoint, Client, Dataset, Job
    from ..evaluation.progress import Progress
    from ..result import Result
    from .request import Request

NO_SERVER = "Name the service with --server http://host:8000, or set LANDSCAPE_SERVER."

Server = Annotated[str | None, typer.Option(envvar="LANDSCAPE_SERVER", help="Address of the service.")]
TokenFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="File with the token [LANDSCAPE_TOKEN, or login's].")
]
JobId = Annotated[str, typer.Argument(help="Id of a job, as `landscape jobs` lists it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `landscape`."""
    for command in (login, upload, jobs, fetch, cancel, delete):
        app.command()(command)


def login(
    server: Server = None,
    token_file: TokenFile = None,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the token that is kept for this server.")] = False,
) -> None:
    """Keep a token for a service in your own configuration, after asking the service whether it is right.

    Example: landscape login --server http://lab:8000
    """
    from ..client import Client
    from ..client.local_state import keep_token, token_in

    url = _url(server)
    if forget:
        keep_token(url, None)
        typer.echo(f"No token is kept for {url}.")
        return
    token = token_in(token_file) if token_file else typer.prompt("Token", hide_input=True, err=True).strip()
    with Client(url, token) as service:
        service.jobs(limit=1)
    typer.echo(f"The token for {url} is kept in {keep_token(url, token)}.")


def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Weights, or samples with --dataset.")],
    dataset: Annotated[bool, typer.Option("--dataset", help="The file holds samples.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call it [the file's name].")] = None,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Upload a checkpoint or a data set; the same command again goes on where it was interrupted.

    Example: landscape upload checkpoint.pt --server http://lab:8000
    """
    with connected(server, token_file) as service:
        send = service.upload_dataset if dataset else service.upload
        known = send(file, name=name)
    say_json(asdict(known)) if as_json else typer.echo("\n".join(_told(known)))


def jobs(
    state: Annotated[str | None, typer.Option(help="queued, running, done, failed or cancelled.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 20,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    Example: landscape jobs --state running --server http://lab:8000
    """
    with connected(server, token_file) as service:
        found = [job.info for job in service.jobs(state=state, limit=limit)]
    if as_json:
        say_json([asdict(info) for info in found])
        return
    for info in found:
        share = f"{info.progress.done}/{info.progress.total}"
        typer.echo(f"{info.id}  {info.state:9}  {info.kind:13}  {share:>15}  {info.name}")


def fetch(
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The result; its ending names the format.")],
    now: Annotated[bool, typer.Option("--now", help="What has been computed so far, without waiting.")] = False,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Wait for a job and write its result to a file.

    Example: landscape fetch 0f3a… -o surface.npz --server http://lab:8000
    """
    require_writable(output)
    with connected(server, token_file) as service:
        found = service.job(job)
        result = found.fetch() if now else waited(found, True)
    result.save(output)
    answer = {"output": str(output), "job": asdict(found.info)}
    say_json(answer) if as_json else typer.echo(f"{result.caption}; written to {output}")


def cancel(job: JobId, server: Server = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """End a job; what it has computed can still be fetched.

    Example: landscape cancel 0f3a… --server http://lab:8000
    """
    with connected(server, token_file) as service:
        info = service.job(job).cancel().info
    say_json(asdict(info)) if as_json else typer.echo(f"{info.id}  {info.state}")


def delete(job: JobId, server: Server = None, token_file: TokenFile = None) -> None:
    """Remove a job and its result from the service.

    Example: landscape delete 0f3a… --server http://lab:8000
    """
    with connected(server, token_file) as service:
        service.job(job).delete()
    typer.echo(f"{job}  deleted")


def compute(request: "Request", server: str, token_file: Path | None, progress: "bool | Progress" = True) -> "Result":
    """What the shell asks for, computed by a service: files it does not know yet are uploaded first."""
    if request.directions is not None:
        raise LandscapeError("Directions from a file are computed here only. Leave --server out.")
    with connected(server, token_file) as service:
        checkpoints = [_uploaded(service, Path(file), progress) for file in request.checkpoints]
        return waited(service.submit(_body(service, request, checkpoints, progress)), progress)


def waited(job: "Job", progress: "bool | Progress") -> "Result":
    """The result of a job; Ctrl-C ends the waiting and says how to come back."""
    try:
        return job.wait(progress=progress)
    except KeyboardInterrupt:
        typer.echo(f"\nThe job goes on. Fetch it with: landscape fetch {job.id} -o FILE", err=True)
        raise typer.Exit(130) from None


def connected(server: str | None, token_file: Path | None) -> "Client":
    """A client of the service that is named."""
    from ..client import Client
    from ..client.local_state import token_in

    return Client(_url(server), token_in(token_file) if token_file else None)


def _url(server: str | None) -> str:
    if not server:
        raise LandscapeError(NO_SERVER)
    return server


def _uploaded(service: "Client", file: Path, progress: "bool | Progress") -> "Checkpoint":
    """The checkpoint in a file: the one the service has already, else uploaded now."""
    with file.open("rb") as opened:
        sha256 = file_digest(opened, "sha256").hexdigest()
    known = [one for one in service.checkpoints(limit=200) if one.sha256 == sha256 and one.state == "ready"]
    return known[0] if known else service.upload(file, progress=progress)


def _body(
    service: "Client", request: "Request", checkpoints: "list[Checkpoint]", progress: "bool | Progress"
) -> dict[str, Any]:
    from ..client.options import body

    names = {"interpolation": ("checkpoint", "end"), "plane": ("checkpoint", "second", "third")}
    named: dict[str, Any] = dict(zip(names.get(request.kind, ("checkpoint",)), checkpoints, strict=False))
    if request.kind == "trajectory":
        named = {"epochs": checkpoints}
    choices = {
        **request.options,
        "dataset": _dataset(service, request.dataset, progress),
        "split": request.split,
        "subset": request.images,
        "architecture": _label(checkpoints[0], request.architecture),
    }
    return body(request.kind, request.grid, choices, **named)


def _dataset(service: "Client", dataset: str, progress: "bool | Progress") -> str:
    """Its name at the service; a file is uploaded once, under a name that says what is in it."""
    from ..client import RefusedError

    file = Path(dataset)
    if not file.is_file():
        return dataset
    with file.open("rb") as opened:
        name = f"{file.stem[:40]}-{file_digest(opened, 'sha256').hexdigest()[:12]}"
    try:
        if service.dataset(name).state == "ready":
            return name
    except RefusedError as refused:
        if refused.status != 404:
            raise
    service.upload_dataset(file, name=name, progress=progress)
    return name


def _label(checkpoint: "Checkpoint", chosen: int | None) -> str | None:
    if chosen is None:
        return None
    labels = [candidate["label"] for candidate in checkpoint.candidates]
    if not 0 <= chosen < len(labels):
        raise UnknownNameError("architecture", chosen, [f"{n} ({label})" for n, label in enumerate(labels)])
    return str(labels[chosen])


def _told(known: "Checkpoint | Dataset") -> list[str]:
    """What an upload became, for people."""
    from ..client import Checkpoint

    if not isinstance(known, Checkpoint):
        return [f"{known.id}  {known.name}  {known.state}"]
    if known.architecture:
        return [f"{known.id}  {known.name}  {known.architecture['label']}"]
    choices = [f"  --architecture {index}: {one['label']}" for index, one in enumerate(known.candidates)]
    return [f"{known.id}  {known.name}  {known.state}; several networks fit:", *choices]
