"""What hostile programs try from inside (attempts.py), each seen to succeed where there are no walls."""

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from landscape.sandbox import available
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls beyond limits are Linux's")
HERE = Path(__file__).parent
SYSTEM_PYTHON = Path("/usr/bin/python3")

_VICTIM = """
import ctypes, sys
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, where Yama asks
file = open(sys.argv[1])
print(file.fileno(), flush=True)
sys.stdin.read()
"""

READING = {
    "read the accounts", "read another file of the owner", "read it from another root", "list a folder",
    "read it by a descriptor of another", "read another's environment", "open another's memory",
    "read the network's connections",
}  # fmt: skip
WRITING = {
    "write a file", "write in shared memory", "write what it may read", "truncate a file", "make a folder",
    "make a link", "rename a file", "remove a file", "make an address",
}  # fmt: skip
ELSEWHERE = {  # what Landlock knows besides files
    "connect by TCP", "connect by TCP over IPv6", "listen", "connect to an abstract socket", "signal another",
    "signal a thread of another", "signal another by a descriptor", "attach to another", "read another's memory",
}  # fmt: skip
CALLS = {  # what only the list of calls refuses
    "change who may read", "send by UDP", "connect to a socket in a folder", "ask the kernel by netlink", "fork",
    "start a program", "direct own signals at another", "see another's limits", "be its account again",
    "allocate shared memory", "allocate memory with a name", "leave for another namespace", "set up io_uring",
    "watch performance", "handle faults", "ask for keys",
}  # fmt: skip
LIMITS = {"raise the limit on memory", "raise the limit on computing", "raise the limit on files", "allocate too much"}
ALL = READING | WRITING | ELSEWHERE | CALLS | LIMITS
# Some containers and kernels refuse these anyway; then nothing is shown by refusing them
MAY_BE_MISSING = {
    "connect by TCP over IPv6", "leave for another namespace", "set up io_uring", "watch performance", "handle faults",
    "ask for keys", "write in shared memory", "attach to another", "read another's memory",
}  # fmt: skip
X86_ONLY = {"watch performance", "handle faults", "ask for keys"}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs all attempts behind a wall; the same victim, files and open ports for each."""
    with ExitStack() as kept:
        folder = tmp_path_factory.mktemp("attempts")
        secret = folder / "secret"
        secret.write_text("the numbers of another owner")
        command = [sys.executable, "-I", "-c", _VICTIM, str(secret)]
        victim = kept.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PASSWORD": "secret"})
        )
        assert victim.stdout
        fixed = {
            "root": str(ROOT), "victim": victim.pid, "victim_open": int(victim.stdout.readline()), "uid": os.geteuid(),
            "maps": Path(f"/proc/{victim.pid}/maps").read_text(), "folder": str(folder), "secret": str(secret),
            "port": _listening(kept, socket.AF_INET, ("127.0.0.1", 0)), "socket": str(folder / "socket"),
            "port6": _listening(kept, socket.AF_INET6, ("::1", 0)), "abstract": f"attempts-{victim.pid}",
        }  # fmt: skip
        _listening(kept, socket.AF_UNIX, fixed["socket"])
        _listening(kept, socket.AF_UNIX, "\0" + fixed["abstract"])

        def run(wall: str, python: str = sys.executable) -> dict[str, Any]:
            for name in ("old", "doomed"):
                (folder / name).write_text("")
            answer = _attempts(python, wall, fixed, secret)
            for name in ("written", "new", "link", "address"):
                (folder / name).unlink(missing_ok=True)
            Path("/dev/shm/landscape-attempt").unlink(missing_ok=True)
            if (folder / "made").exists():
                (folder / "made").rmdir()
            return answer

        yield run


def _listening(kept: ExitStack, family: int, address: Any) -> int:
    """The port of an open socket that answers; 0 where the family is missing."""
    try:
        it = kept.enter_context(socket.socket(family))
        it.bind(address)
    except OSError:
        return 0
    it.listen()
    return 0 if family == socket.AF_UNIX else int(it.getsockname()[1])


def _attempts(python: str, wall: str, fixed: dict[str, Any], secret: Path) -> dict[str, Any]:
    with secret.open("rb") as file:
        case = json.dumps(fixed | {"open": file.fileno()})
        done = subprocess.run(
            [python, "-I", str(HERE / "attempts.py"), wall, case],
            capture_output=True,
            text=True,
            env={},
            pass_fds=[file.fileno()],
        )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(first)
    answer["found"]["become another program"] = "" if rest else "OSError"
    return answer


@pytest.fixture(scope="module")
def possible(tried: Callable[..., dict[str, Any]]) -> set[str]:
    """What succeeds without walls; all of it, but for what the machine itself may lack."""
    found = tried("none")["found"]
    succeeded = {name for name, error in found.items() if not error}
    here = ALL if platform.machine() == "x86_64" else ALL - X86_ONLY
    assert here - MAY_BE_MISSING <= succeeded, {name: found[name] for name in here - succeeded}
    assert "become another program" in succeeded
    return succeeded & (here | {"become another program"})


@pytest.mark.parametrize(
    ("wall", "refused"),
    [
        ("all", ALL | {"become another program"}),
        ("landlock", READING | WRITING | ELSEWHERE),
        ("seccomp", WRITING | ELSEWHERE | CALLS | {"become another program"}),
    ],
)
def test_what_succeeds_without_walls_is_refused_behind_them(
    wall: str, refused: set[str], tried: Callable[..., dict[str, Any]], possible: set[str]
) -> None:
    if wall != "all" and wall not in available():
        pytest.skip(f"this kernel has no {wall}")
    answer = tried(wall)
    assert tuple(answer["held"]) == (available() if wall == "all" else (wall,))
    still = {name for name in refused & possible if not answer["found"][name]}
    assert not still
    assert not answer["found"]["start a thread"]


@pytest.mark.skipif(
    not SYSTEM_PYTHON.exists() or os.geteuid() != 0, reason="needs root and a Python that all accounts can read"
)
def test_a_process_of_root_becomes_an_account_of_its_own(
    tried: Callable[..., dict[str, Any]], possible: set[str]
) -> None:
    answer = tried("all", str(SYSTEM_PYTHON))
    assert "user" in answer["held"]
    assert answer["uid"] not in {0, os.geteuid()}
    assert not {name for name in possible if not answer["found"][name]}


def test_the_calls_of_another_architecture_end_the_process() -> None:
    if platform.machine() != "x86_64" or "seccomp" not in available():
        pytest.skip("needs x86_64 and seccomp")
    code = "from landscape.sandbox import Walls, raise_walls; import ctypes, sys\n"
    code += "if sys.argv[1] == 'walls': raise_walls(Walls())\nctypes.CDLL(None).syscall(0x40000000 | 39)"
    ends = [subprocess.run([sys.executable, "-I", "-c", code, walls]).returncode for walls in ("none", "walls")]
    assert ends == [0, -31]  # SIGSYS


def test_computing_goes_on_behind_the_walls_with_the_same_bits() -> None:
    answers = [_computed(walls) for walls in ("none", "walls")]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 8


def _computed(walls: str) -> list[str]:
    """The sums that computing.py prints; it gets a file by a socket, as a descriptor, and maps it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "computing.py"), walls, str(theirs.fileno())],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # a file could not be written behind the walls
            env={"OMP_NUM_THREADS": "2"},
            pass_fds=[theirs.fileno()],
        )
        with (ROOT / "landscape" / "gallery" / "__init__.py").open("rb") as file:
            socket.send_fds(ours, [b"file"], [file.fileno()])
        out, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().splitlines()
