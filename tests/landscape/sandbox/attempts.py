"""What a hostile program would try, run as a script: `python -I attempts.py WALL CASE`, CASE as JSON; JSON comes out.

WALL is "none", one wall by name, or "all". Only the standard library, so that any Python on the machine can run it.
"""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

case: dict[str, Any] = json.loads(sys.argv[2])
VICTIM, FOLDER, SECRET = int(case["victim"]), Path(case["folder"]), Path(case["secret"])
MEMORY = 1 << 30
libc = ctypes.CDLL(None, use_errno=True)


def asked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def connect(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as it:
        it.connect(address)
        it.send(b"hello")


def listen() -> None:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        it.listen()


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def ptrace() -> None:
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    asked(libc.ptrace(16, VICTIM, None, None))  # PTRACE_ATTACH
    os.waitpid(VICTIM, 0)
    asked(libc.ptrace(17, VICTIM, None, None))


def read_memory_of_another() -> None:
    start = next(int(line.split("-")[0], 16) for line in case["maps"].splitlines() if " rw-p " in line)
    here = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    there = (ctypes.c_size_t * 2)(start, 8)
    asked(libc.process_vm_readv(VICTIM, here, 1, there, 1, 0))


def write_through_a_reading_descriptor() -> None:
    with SECRET.open("rb") as file, Path(f"/proc/self/fd/{file.fileno()}").open("r+b"):
        pass


def signal_by_descriptor() -> None:
    descriptor = os.pidfd_open(VICTIM)
    signal.pidfd_send_signal(descriptor, signal.SIGCONT)
    os.close(descriptor)


def own_signals_at_another() -> None:
    import fcntl

    fcntl.fcntl(case["open"], fcntl.F_SETOWN, VICTIM)


def memory_with_a_name() -> None:
    os.close(os.memfd_create("more"))


def descriptor_made_by(number: int, *arguments: Any) -> Callable[[], None]:
    def attempt() -> None:
        descriptor = libc.syscall(number, *arguments)
        asked(descriptor)
        os.close(descriptor)

    return attempt


def raise_limit(kind: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def allocate() -> None:
    bytearray(2 * MEMORY)


def shared_memory() -> None:
    mmap.mmap(-1, 2 * MEMORY).close()


LOCAL, LOCAL6 = ("127.0.0.1", case["port"]), ("::1", case["port6"])
ATTEMPTS: dict[str, Callable[[], Any]] = {
    "read the accounts": lambda: Path("/etc/passwd").read_bytes(),
    "read another file of the owner": SECRET.read_bytes,
    "read it from another root": lambda: Path(f"/proc/self/root{SECRET}").read_bytes(),
    "read it by a descriptor of another": lambda: Path(f"/proc/{VICTIM}/fd/{case['victim_open']}").read_bytes(),
    "list a folder": lambda: os.listdir(FOLDER),  # noqa: PTH208
    "read another's environment": lambda: Path(f"/proc/{VICTIM}/environ").read_bytes(),
    "open another's memory": lambda: Path(f"/proc/{VICTIM}/mem").open("rb").close(),
    "read the network's connections": lambda: Path("/proc/self/net/tcp").read_bytes(),
    "write a file": lambda: (FOLDER / "written").write_bytes(b"1"),
    "write in shared memory": lambda: open("/dev/shm/landscape-attempt", "xb").close(),  # noqa: PTH123
    "write what it may read": write_through_a_reading_descriptor,
    "truncate a file": lambda: os.truncate(SECRET, 3),
    "make a folder": lambda: (FOLDER / "made").mkdir(),
    "rename a file": lambda: (FOLDER / "old").rename(FOLDER / "new"),
    "remove a file": lambda: (FOLDER / "doomed").unlink(),
    "change who may read": lambda: SECRET.chmod(0o600),
    "make a link": lambda: (FOLDER / "link").symlink_to(SECRET),
    "make an address": lambda: socket.socket(socket.AF_UNIX).bind(str(FOLDER / "address")),
    "connect by TCP": lambda: connect(socket.AF_INET, LOCAL),
    "connect by TCP over IPv6": lambda: connect(socket.AF_INET6, LOCAL6),
    "listen": listen,
    "send by UDP": lambda: connect(socket.AF_INET, LOCAL, socket.SOCK_DGRAM),
    "connect to a socket in a folder": lambda: connect(socket.AF_UNIX, case["socket"]),
    "connect to an abstract socket": lambda: connect(socket.AF_UNIX, "\0" + case["abstract"]),
    "ask the kernel by netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
    "fork": fork,
    "start a program": lambda: subprocess.run([sys.executable, "-I", "-c", ""], check=True),
    "signal another": lambda: os.kill(VICTIM, signal.SIGCONT),
    "signal a thread of another": lambda: asked(libc.tgkill(VICTIM, VICTIM, signal.SIGCONT)),
    "signal another by a descriptor": signal_by_descriptor,
    "direct own signals at another": own_signals_at_another,
    "attach to another": ptrace,
    "read another's memory": read_memory_of_another,
    "see another's limits": lambda: resource.prlimit(VICTIM, resource.RLIMIT_NOFILE),
    "be its account again": lambda: os.setresuid(*[case["uid"]] * 3),
    "raise the limit on memory": raise_limit(resource.RLIMIT_DATA),
    "raise the limit on computing": raise_limit(resource.RLIMIT_CPU),
    "raise the limit on files": raise_limit(resource.RLIMIT_FSIZE),
    "allocate too much": allocate,
    "allocate shared memory": shared_memory,
    "allocate memory with a name": memory_with_a_name,
    "leave for another namespace": lambda: asked(libc.unshare(0x10000000)),  # CLONE_NEWUSER
    "set up io_uring": descriptor_made_by(425, 1, ctypes.create_string_buffer(120)),
    "watch performance": descriptor_made_by(298, ctypes.create_string_buffer(b"\1\0\0\0\x70", 128), 0, -1, -1, 0),
    "handle faults": descriptor_made_by(323, 0o2000000),
    "ask for keys": lambda: asked(libc.syscall(250, 0, -3, 1)),  # KEYCTL_GET_KEYRING_ID of the session
    "start a thread": lambda: __import__("threading").Thread(target=int).start(),
}


def outcome(attempt: Callable[[], Any]) -> str:
    """ "" where it succeeded, else the name of the error."""
    try:
        attempt()
    except (OSError, MemoryError, ValueError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return ""


def raised(wall: str) -> tuple[str, ...]:
    sys.path.insert(0, case["root"])
    from landscape.sandbox import Walls, landlock, places, raise_walls, seccomp

    sys.path.pop(0)
    if wall == "landlock":
        allowed = (*places.of_the_system(gpu=False), *places.of_python())
        return (wall,) * landlock.restrict([(path, landlock.READ) for path in allowed])
    if wall == "seccomp":
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        return (wall,) * seccomp.allow_only_computing(reading_only=True, gpu=False)
    return raise_walls(Walls(memory=MEMORY, cpu_seconds=60)) if wall == "all" else ()


def main() -> None:
    held = raised(sys.argv[1])
    found = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    print(json.dumps({"held": held, "found": found, "uid": os.geteuid()}), flush=True)
    with contextlib.suppress(OSError):  # last, because it ends this program where it succeeds
        os.execv(sys.executable, [sys.executable, "-I", "-c", "print('another program')"])


main()
