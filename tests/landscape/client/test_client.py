"""The client against a real service that requires a token."""

import asyncio
import hashlib
import inspect
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import landscape as ls
from landscape.client import AsyncClient, AsyncJob, Client, Job, JobEndedError, RefusedError, RejectedError
from tests.support.cutting_proxy import CuttingProxy
from tests.support.paths import GALLERY
from tests.support.service import Service, make_token

SKIP = GALLERY / "resnet20-w8-skip.safetensors"


def test_upload_submit_follow_fetch_delete(client: ls.Client) -> None:
    checkpoint = client.upload(SKIP, progress=False)
    assert checkpoint.sha256 == hashlib.sha256(SKIP.read_bytes()).hexdigest()
    assert checkpoint.architecture is not None
    job = client.surface(checkpoint, grid=ls.Grid.square(5), subset=40, seed=3, name="mine")
    events = list(job.follow())
    assert events[0].kind == "state"
    assert events[-1].is_last
    followed = {
        tuple(point): loss
        for e in events
        if e.kind == "tile"
        for point, loss in zip(e.data["points"], e.data["losses"], strict=True)
    }
    result = job.wait(progress=False)
    assert isinstance(result, ls.Result)
    assert followed == {(i, j): result.losses[i, j] for i in range(5) for j in range(5)}
    assert all(check.passed for check in result.checks)
    assert [one.id for one in client.jobs(checkpoint=checkpoint.id)] == [job.id]
    assert {number.name for number in job.numbers()}
    assert "Submitted" in job.log()[0].text
    link = job.share(days=1)
    with ls.Client(client.url, link.rpartition("/")[2]) as guest:
        assert guest.job(job.id).fetch().losses.shape == (5, 5)
        job.revoke(job.links()[0].id)
        with pytest.raises(RefusedError):
            guest.job(job.id)
    job.delete()
    client.delete_checkpoint(checkpoint.id)
    with pytest.raises(RefusedError) as gone:
        job.refresh()
    assert gone.value.code == "not_found"
    assert checkpoint.id not in [one.id for one in client.checkpoints()]


def test_a_fetched_result_equals_that_of_the_library(client: ls.Client) -> None:
    """The same type and, with the same seed, samples and kind of device, the same bits."""
    from landscape.checkpoints.inspect import inspect as inspect_file
    from landscape.data import load

    model = inspect_file(SKIP).model(None)
    samples = load("digits", "train").subset(40, 0)
    here = ls.surface(model, samples.images, samples.labels, grid=ls.Grid.square(3), seed=3, progress=False)
    there = client.surface(client.upload(SKIP), grid=ls.Grid.square(3), subset=40, seed=3).wait(progress=False)
    assert type(here) is type(there)
    assert np.array_equal(here.losses, there.losses)


def test_every_kind_of_job_is_submitted_and_computed(client: ls.Client, tmp_path: Path) -> None:
    tensors, files = load_file(SKIP), []
    for n in range(4):
        files.append(tmp_path / f"epoch-{n}.safetensors")
        noise = {
            name: tensor * (1 + 0.01 * n) if name.endswith("weight") else tensor for name, tensor in tensors.items()
        }
        save_file(noise, files[-1])
    one, other, *more = [client.upload(file, progress=False) for file in files]
    line = ls.Grid.line(3)
    square = ls.Grid.square(2)
    jobs = {
        (3, 1): client.interpolation(one, other, grid=line, split="test", subset=20),
        (2, 2): client.curvature(one, grid=square, steps=4, subset=20),
        (2, 3): client.plane(one, other, *more[:1], grid=ls.Grid(square.alpha, line.alpha), subset=20),
        (3, 2): client.trajectory([one, other, *more], grid=ls.Grid(line.alpha, square.alpha), subset=20),
    }
    for shape, job in jobs.items():
        result = job.wait(progress=False)
        assert (result.kind, result.losses.shape) == (job.info.kind, shape)


def test_waiting_for_a_cancelled_job_raises_and_a_retry_is_a_new_job(client: ls.Client) -> None:
    job = client.surface(client.upload(SKIP), grid=ls.Grid.square(101), subset=1000)
    job.cancel()
    with pytest.raises(JobEndedError) as ended:
        job.wait(progress=False)
    assert ended.value.code == "cancelled"
    assert job.retry().cancel().id != job.id


def test_a_job_is_refined_and_its_points_are_reused(client: ls.Client) -> None:
    grid = ls.Grid(ls.Axis(-0.5, 1.0, 4), ls.Axis(-1.0, 0.5, 3))
    job = client.surface(client.upload(SKIP), grid=grid, subset=40)
    coarse = job.wait(progress=False)
    finer = job.refine(2).wait(progress=False)
    assert finer.losses.shape == (7, 5)
    assert finer.losses[::2, ::2].tobytes() == coarse.losses.tobytes()
    region = job.refine(2, alpha=(0, 1), beta=(-1, 0), repeats=2).wait(progress=False)
    assert (region.losses.shape, region.provenance["repeated"]["seeds"]) == ((5, 4), [0, 1])
    assert region.provenance["reused"]["job"] == job.id
    with pytest.raises(RefusedError, match="adds nothing"):
        job.refine()


def test_a_job_is_reproduced_by_the_service_bit_for_bit(client: ls.Client) -> None:
    job = client.surface(
        client.upload(SKIP, progress=False), grid=ls.Grid(ls.Axis(count=5), ls.Axis(count=3)), subset=30
    )
    result = job.wait(progress=False)
    before = len(client.jobs())
    found = job.reproduce(progress=False)
    assert (found.same, found.bitwise) == (True, True)
    assert len(client.jobs()) == before + 1
    again = client.jobs(limit=1)[0].fetch()
    assert (again == result, hash(again) == hash(result)) == (True, True)


def test_waiting_times_out_and_the_job_keeps_running(client: ls.Client) -> None:
    job = client.surface(client.upload(SKIP), grid=ls.Grid.square(101), subset=1000)
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(timeout=0.2, progress=False)
    assert job.refresh().info.state in ("queued", "running")
    job.cancel()


def test_a_file_that_is_not_a_checkpoint_is_rejected_with_a_reason(client: ls.Client, tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("not a checkpoint")
    with pytest.raises(RejectedError, match=r"\w+"):
        client.upload(tmp_path / "notes.pt", progress=False)


def test_an_invalid_field_is_named_in_the_error(client: ls.Client) -> None:
    checkpoint = client.upload(SKIP)
    with pytest.raises(RefusedError, match="subset") as refused:
        client.slice(checkpoint, subset=10**6)
    assert (refused.value.code, refused.value.status, refused.value.field) == ("invalid", 422, "subset.count")


def test_a_missing_or_wrong_token_is_refused(url: str) -> None:
    for token in (None, "ll_" + "0" * 40):
        with ls.Client(url, token) as client, pytest.raises(RefusedError) as refused:
            client.jobs()
        assert refused.value.status == 401


def test_a_checkpoint_is_not_found_by_other_users(client: ls.Client, url: str, guarded: Service) -> None:
    checkpoint = client.upload(SKIP)
    with ls.Client(url, make_token(guarded.data, "bob")["token"]) as bob, pytest.raises(RefusedError) as refused:
        bob.checkpoint(checkpoint.id)
    assert refused.value.status == 404


def test_a_custom_network_is_uploaded_with_its_architecture(client: ls.Client) -> None:
    from torch import nn, zeros

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoint = client.upload_model(model, zeros(2, 1, 8, 8), name="mine", progress=False)
    assert checkpoint.name == "mine"
    assert client.slice(checkpoint, grid=ls.Grid.line(3), subset=20).wait(progress=False).losses.shape == (3, 1)
    assert all(bool((tensor == before[name]).all()) for name, tensor in model.state_dict().items())


def samples_of(folder: Path, megabytes: int) -> Path:
    """A data set of about this many megabytes, incompressible."""
    count = megabytes * 1_000_000 // (32 * 32 * 3)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(folder / "samples.npz", images=images, labels=random.integers(0, 10, count))
    return folder / "samples.npz"


KILLED = """
import os, signal, sys
import landscape as ls
def progress(done, total):
    print(done, flush=True)
    if done >= 16 and len(sys.argv) > 4:
        os.kill(os.getpid(), signal.SIGKILL)
with ls.Client(sys.argv[1], sys.argv[2]) as client:
    print(client.upload_dataset(sys.argv[3], name="killed", progress=progress).id)
"""


def test_an_upload_resumes_after_the_process_was_killed(
    client: ls.Client, url: str, token: str, tmp_path: Path
) -> None:
    file = samples_of(tmp_path, 40)
    command = [sys.executable, "-c", KILLED, url, token, str(file)]
    killed = subprocess.run([*command, "kill"], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = subprocess.run(command, capture_output=True, text=True, check=True)
    *reports, dataset_id = resumed.stdout.split()
    assert int(reports[0]) >= 16
    found = client.dataset(dataset_id)
    assert found.state == "ready"
    assert found.splits == {"train": 40_000_000 // 3072}
    client.delete_dataset(dataset_id)


def test_an_upload_resumes_after_broken_connections(guarded: Service, token: str, tmp_path: Path) -> None:
    file, breaks = samples_of(tmp_path, 20), iter([3_000_000, 1_000_000, 5_000_000])
    limit = next(breaks)

    def rule(sent: bytes, got: int) -> bool:
        nonlocal limit
        if sent.startswith(b"PATCH") and len(sent) > limit:
            limit = next(breaks, 1 << 60)
            return True
        return False

    proxy = CuttingProxy(guarded.port, rule)
    with ls.Client(proxy.url, token) as client:
        dataset = client.upload_dataset(file, name="broken", progress=False)
        assert dataset.state == "ready"
        client.delete_dataset(dataset.id or "")
    proxy.close()
    assert proxy.cuts == 3


def test_a_submission_whose_response_is_lost_creates_one_job(guarded: Service, client: ls.Client, token: str) -> None:
    checkpoint = client.upload(SKIP, name="once", wait=True, progress=False)
    lost = iter([True, True, False])

    def rule(sent: bytes, got: int) -> bool:
        return sent.startswith(b"POST /api/v1/jobs ") and got > 0 and next(lost, False)

    proxy = CuttingProxy(guarded.port, rule)
    with ls.Client(proxy.url, token) as through:
        job = through.slice(checkpoint, grid=ls.Grid.line(3), subset=20)
    proxy.close()
    assert proxy.cuts == 2
    assert [one.id for one in client.jobs(checkpoint=checkpoint.id)] == [job.id]


def test_events_continue_after_a_broken_connection(guarded: Service, client: ls.Client, token: str) -> None:
    checkpoint = client.upload(SKIP)
    job = client.surface(checkpoint, grid=ls.Grid.square(9), subset=500)
    cuts = iter([True])

    def rule(sent: bytes, got: int) -> bool:
        return b"/events" in sent[:200] and got > 2_000 and next(cuts, False)

    proxy = CuttingProxy(guarded.port, rule)
    with ls.Client(proxy.url, token) as through:
        events = list(through.job(job.id).follow())
    proxy.close()
    assert proxy.cuts == 1
    tiles = [event.id for event in events if event.kind == "tile"]
    assert len(tiles) == len(set(tiles))
    assert sum(len(event.data["points"]) for event in events if event.kind == "tile") == 81


def test_an_unreachable_service_is_named_in_the_error() -> None:
    from tests.support.service import free_port

    client = ls.Client(f"http://127.0.0.1:{free_port()}", retries=0)
    with client, pytest.raises(ls.LandscapeError, match="does not answer") as refused:
        client.version()
    assert refused.value.code == "unreachable"


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/", "/api/v1", "/api/v1/"])
def test_the_address_may_end_with_the_prefix_of_the_api(suffix: str) -> None:
    with ls.Client(f"http://lab:8000{suffix}") as client:
        assert client.url == "http://lab:8000"


@pytest.mark.parametrize("url", ["lab:8000", "ftp://lab", ""])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ls.LandscapeError, match="http://lab:8000"):
        ls.Client(url)


def test_the_awaitable_client_uploads_submits_follows_fetches_and_deletes(url: str, token: str) -> None:
    async def use() -> None:
        async with ls.AsyncClient(url, token) as client:
            checkpoint = await client.upload(SKIP, name="awaited", progress=False)
            jobs = await asyncio.gather(
                *[client.slice(checkpoint, grid=ls.Grid.line(3), subset=20, seed=n) for n in (1, 2)]
            )
            kinds = [event.kind async for event in jobs[0].follow()]
            assert kinds[0] == kinds[-1] == "state"
            results = await asyncio.gather(*[job.wait(progress=False) for job in jobs])
            assert [result.losses.shape for result in results] == [(3, 1), (3, 1)]
            await asyncio.gather(*[job.delete() for job in jobs])
            assert not await client.jobs(checkpoint=checkpoint.id)
            await client.delete_checkpoint(checkpoint.id)
            with pytest.raises(RefusedError):
                await client.checkpoint(checkpoint.id)

    asyncio.run(use())


@pytest.mark.parametrize(("blocking", "awaitable"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_clients_have_the_same_methods(blocking: type, awaitable: type) -> None:
    def methods(one: type) -> dict[str, list[str]]:
        found = inspect.getmembers(one, inspect.isfunction)
        return {name: list(inspect.signature(function).parameters) for name, function in found if name[0] != "_"}

    assert methods(blocking) == methods(awaitable)
