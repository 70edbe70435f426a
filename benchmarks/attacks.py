"""What an authenticated user can do to others: `python -m benchmarks.attacks URL TOKEN VICTIM SECONDS JOBS…`.

A process of its own for `benchmarks.two_users`. All attacks run at once, for SECONDS or until standard input ends; then
one JSON object says how often each was answered with which status; a line before says that they begin. It connects to
this machine only, each attack from an address of its own, but wrong tokens come from VICTIM, the address of the other
user. JOBS are ids of finished jobs of the attacker with large results; `only=NAME` and `without=NAME` choose attacks.
"""

import asyncio
import io
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import h5py
import httpx
import numpy as np
import torch
from safetensors.torch import save

from tests.support.paths import GALLERY, ROOT

ADDRESSES = "127.0.0.{}"  # on Linux every address of 127/8 is this machine
TUS = {"Tus-Resumable": "1.0.0"}
FORMATS = ("json", "npz", "csv", "h5")
LARGE = {"alpha": {"count": 501}, "beta": {"count": 501}}
WAITING = 0.3  # seconds between two rounds of one attacker

Told = Counter[str]


class Attacker:
    """One user's client, its tally, and the end of the attack."""

    def __init__(self, url: str, token: str, victim: str, seconds: float, jobs: list[str]):
        assert urlsplit(url).hostname == "127.0.0.1", "only this machine is attacked"
        self.url, self.victim, self.jobs, self.told = url, victim, jobs, dict[str, Told]()
        self.end = time.monotonic() + seconds
        self.headers, self.clients = {"Authorization": f"Bearer {token}"}, dict[str, httpx.AsyncClient]()
        self.ready: list[str] = []  # checkpoints made of hostile files
        self.running: str | None = None  # a job
        self.files = hostile_files()

    def client(self, address: str, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        transport = httpx.AsyncHTTPTransport(local_address=address, limits=limits)
        return httpx.AsyncClient(base_url=self.url, headers=headers, transport=transport, timeout=60, trust_env=False)

    def own(self, what: str) -> httpx.AsyncClient:
        """The client of one attack, with its address."""
        if what not in self.clients:
            self.clients[what] = self.client(ADDRESSES.format(70 + len(self.clients)), self.headers)
        return self.clients[what]

    async def rounds(self, pause: float = WAITING) -> AsyncIterator[None]:
        while time.monotonic() < self.end:
            yield
            await asyncio.sleep(pause)

    async def ask(self, what: str, method: str, path: str, **request: Any) -> httpx.Response | None:
        tally, client = self.told.setdefault(what, Counter()), request.pop("client", None) or self.own(what)
        try:
            answer: httpx.Response = await client.request(method, f"/api/v1{path}", **request)
        except httpx.HTTPError as error:
            tally[type(error).__name__] += 1
            return None
        tally[str(answer.status_code)] += 1
        return answer


# --- files -----------------------------------------------------------------------------------------------------------
def hostile_files() -> dict[str, bytes]:
    """Small files: packed graphs made as attacks, ones that unpack to gigabytes, damaged ones."""
    good = (GALLERY / "resnet20-w8-skip.safetensors").read_bytes()
    files = {path.name: path.read_bytes() for path in sorted((ROOT / "tests/security/graphs").glob("*.safetensors"))}
    files["zeros.h5"] = _zeros_h5()
    files["zeros.npz"] = _zeros_npz()
    files["expanded.pt"] = _expanded()
    files["cut.safetensors"] = good[: len(good) // 2]
    files["noise.pt"] = os.urandom(100_000)
    return files


def _zeros_h5() -> bytes:
    """A few kilobytes that a reader fills up to gigabytes of zeros."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("images", (1 << 19, 1, 32, 32), "f4", chunks=(1 << 10, 1, 32, 32), compression="gzip")
        file.create_dataset("labels", data=np.zeros(1 << 19, np.uint8), compression="gzip")
    return content.getvalue()


def _zeros_npz() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, images=np.zeros((10_000, 1, 64, 64), np.uint8), labels=np.zeros(10_000, np.int64))
    return content.getvalue()


def _expanded() -> bytes:
    """One stored number, described as a terabyte."""
    content = io.BytesIO()
    torch.save({"fc1.weight": torch.zeros(1).expand(1 << 19, 1 << 19)}, content)
    return content.getvalue()


async def upload_hostile_files(by: Attacker) -> None:
    """All of them, again and again, with other names; what is accepted is computed by the next attack."""
    async for _ in by.rounds():
        for name, content in by.files.items():
            kind = "datasets" if name.endswith((".npz", ".h5")) else "checkpoints"
            params = {"name": f"{secrets.token_hex(3)} {name}"}
            answer = await by.ask("hostile uploads", "PUT", f"/{kind}", params=params, content=content)
            if answer is not None and answer.status_code == 201 and kind == "checkpoints":
                by.ready = [*by.ready[-20:], answer.json()["id"]]


async def compute_hostile_files(by: Attacker) -> None:
    """Jobs of everything that was accepted, cancelled after a while."""
    async for _ in by.rounds(1):
        for checkpoint in list(by.ready):
            spec = {"kind": "slice", "checkpoint": checkpoint, "dataset": "digits", "subset": {"count": 64}}
            await _for_a_while(by, "hostile jobs", spec | {"grid": {"alpha": {"count": 21}}})


async def hold_workers(by: Attacker) -> None:
    """Large jobs, cancelled while they compute."""
    content = save({"0.weight": torch.randn(2000, 64), "0.bias": torch.zeros(2000), "2.weight": torch.randn(10, 2000)})
    file = (GALLERY / "resnet56-w8-skip.safetensors").read_bytes()
    await by.ask("large jobs", "PUT", "/checkpoints", params={"name": "odd"}, content=content)
    answer = None
    async for _ in by.rounds():
        answer = await by.ask("large jobs", "PUT", "/checkpoints", params={"name": "large"}, content=file)
        if answer is not None and answer.status_code == 201:
            break
    if answer is None:
        return
    spec = {"kind": "surface", "checkpoint": answer.json()["id"], "dataset": "digits", "grid": LARGE}
    async for _ in by.rounds(0.1):
        await _for_a_while(by, "large jobs", spec)


async def _for_a_while(by: Attacker, what: str, spec: dict[str, Any]) -> None:
    answer = await by.ask(what, "POST", "/jobs", json=spec)
    if answer is not None and answer.status_code == 202:
        by.running = answer.json()["id"]
        await asyncio.sleep(3)
        await by.ask(what, "POST", f"/jobs/{answer.json()['id']}/cancel")


# --- answers ---------------------------------------------------------------------------------------------------------
async def fetch_large_results(by: Attacker) -> None:
    """Whole results of a million points, in every format."""
    async for _ in by.rounds():
        for job in by.jobs:
            for wanted in FORMATS:
                await by.ask("large results", "GET", f"/jobs/{job}/result", params={"format": wanted})


async def fetch_numbers(by: Attacker) -> None:
    async for _ in by.rounds():
        for job in by.jobs:
            await by.ask("numbers", "GET", f"/jobs/{job}/numbers")


# --- connections -----------------------------------------------------------------------------------------------------
async def stay_connected(by: Attacker) -> None:
    """Connections that say nothing, and are made again when they are closed."""
    parts, own, held = urlsplit(by.url), (ADDRESSES.format(69), 0), list[asyncio.StreamWriter]()
    tally = by.told.setdefault("idle connections", Counter())
    async for _ in by.rounds(1):
        held = [one for one in held if not one.is_closing()]
        while len(held) < 600:
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port, local_addr=own)
            except OSError as error:
                tally[type(error).__name__] += 1
                break
            tally["opened"] += 1
            held.append(writer)
            reader.feed_eof()


async def hold_upload_places(by: Attacker) -> None:
    """Uploads that send a few bytes per second."""

    async def slowly() -> AsyncIterator[bytes]:
        async for _ in by.rounds(1):
            yield b"x" * 2048

    async for _ in by.rounds(1):
        await by.ask("slow uploads", "PUT", "/checkpoints", params={"name": "slow"}, content=slowly())


async def announce_uploads(by: Attacker) -> None:
    """Announcements of resumable uploads of 16 GB that never come."""
    async for _ in by.rounds():
        headers = {**TUS, "Upload-Length": str(16 << 30), "Upload-Metadata": "filename eA=="}
        await by.ask("announced uploads", "POST", "/uploads", headers=headers)


async def hold_streams(by: Attacker) -> None:
    """Event streams of a job that is computed."""
    async for _ in by.rounds(1):
        if by.running:
            await _follow(by, "event streams", by.running)


async def replay_large_results(by: Attacker) -> None:
    """Event streams of finished jobs, from their first of a million points."""
    async for _ in by.rounds(1):
        for job in by.jobs:
            await _follow(by, "replayed streams", job)


async def _follow(by: Attacker, what: str, job: str) -> None:
    tally = by.told.setdefault(what, Counter())
    try:
        async with by.own(what).stream("GET", f"/api/v1/jobs/{job}/events") as answer:
            tally[str(answer.status_code)] += 1
            async for _ in answer.aiter_bytes():
                if time.monotonic() > by.end:
                    return
    except httpx.HTTPError as error:
        tally[type(error).__name__] += 1


async def guess_tokens(by: Attacker) -> None:
    """Wrong tokens, from the address of the victim."""
    async with by.client(by.victim) as client:
        async for _ in by.rounds():
            token = f"ll_{secrets.token_urlsafe(24)}"
            await by.ask("wrong tokens", "POST", "/session", json={"token": token}, client=client)
            headers = {"Authorization": f"Bearer {token}"}
            await by.ask("wrong tokens", "GET", "/jobs", headers=headers, client=client)


ATTACKS: dict[Callable[[Attacker], Coroutine[Any, Any, None]], int] = {  # how many of each at once
    upload_hostile_files: 2,
    compute_hostile_files: 4,
    hold_workers: 8,
    fetch_large_results: 12,
    fetch_numbers: 40,
    stay_connected: 1,
    hold_upload_places: 100,  # fewer than one user may have, so that the hostile files get in
    announce_uploads: 4,
    hold_streams: 300,
    replay_large_results: 20,
    guess_tokens: 4,
}


def chosen_by(words: list[str]) -> dict[Callable[[Attacker], Coroutine[Any, Any, None]], int]:
    """All attacks, or those that words like `only=NAME` and `without=NAME` leave."""
    only, without = (
        {word.removeprefix(key) for word in words if word.startswith(key)} for key in ("only=", "without=")
    )
    names = {one.__name__ for one in ATTACKS}
    assert only | without <= names, f"attacks are {', '.join(sorted(names))}"
    return {one: count for one, count in ATTACKS.items() if one.__name__ in (only or names) - without}


async def attack(by: Attacker, chosen: dict[Callable[[Attacker], Coroutine[Any, Any, None]], int]) -> None:
    """Until the time is over or standard input ends."""
    tasks = [asyncio.create_task(one(by)) for one, count in chosen.items() for _ in range(count)]
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([stop], timeout=by.end - time.monotonic())
    for task in tasks:
        if task.done() and (error := task.exception()):
            by.told.setdefault("defects of the attack", Counter())[repr(error)] += 1
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    url, token, victim, seconds, *rest = sys.argv[1:]
    by = Attacker(url, token, victim, float(seconds), [word for word in rest if "=" not in word])
    print("ready", flush=True)
    asyncio.run(attack(by, chosen_by(rest)))
    print(json.dumps(by.told), flush=True)
    os._exit(0)  # a thread may still wait for standard input


if __name__ == "__main__":
    main()
