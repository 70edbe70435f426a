"""Which account of this machine is at the other end of a connection over loopback: the kernel knows.

Linux answers for one connection at a time (sock_diag(7)), in a few microseconds. Where it does not (other systems, a
proxy, a client in a container), the account is not known, and a token is needed.
"""

import os
import socket
import struct
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST = 4, 20, 1
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_QUERY = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_ANSWER = struct.Struct("=BBBB48xIIIII")  # family, state, timer, retransmissions, addresses; expires … uid, inode
_ESTABLISHED, _CLOSE_WAIT, _LISTEN = 1, 8, 10  # states of TCP
_ANY = 0xFFFF_FFFF


class LocalPeer:
    """The other end of one connection; the kernel is asked once, when the account is first needed."""

    def __init__(self, connection: Any):
        self._connection = connection  # a socket, or asyncio's view of one; None if there is none
        self._known: tuple[int | None] | None = None

    @property
    def uid(self) -> int | None:
        """The account of the process at the other end; None if it cannot be told."""
        if self._known is None:
            self._known = (_uid(self._connection),)
        return self._known[0]

    @property
    def is_own_account(self) -> bool:
        """Whether the process at the other end runs under the account of this one."""
        return self.uid is not None and self.uid == os.geteuid() and self.uid != _unknown_account()


@cache
def can_tell() -> bool:
    """Whether this machine tells the account of a connection: tried with one of our own."""
    with ExitStack() as stack, suppress(OSError):
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(server.getsockname(), timeout=5))
        return LocalPeer(stack.enter_context(server.accept()[0])).is_own_account
    return False


def _uid(connection: Any) -> int | None:
    """The account that owns the socket at the other end, if that is on this machine, open, and the same all along."""
    try:
        peer, own = connection.getpeername()[:2], connection.getsockname()[:2]
        found = _owner(peer, own)
        # Twice: a socket whose process closes it in this moment may look as if it were root's.
        # Then our end: while it is open, no other socket can have taken the place of the one that was found.
        if found is None or _owner(peer, own) != found or _state(connection) not in (_ESTABLISHED, _CLOSE_WAIT):
            return None
        return found[0]
    except (AttributeError, OSError, ValueError, struct.error):
        return None


def _owner(peer: tuple[str, int], own: tuple[str, int]) -> tuple[int, int] | None:
    """Account and inode of the socket with the address `peer` that is connected to `own`; None if there is none."""
    family, ours, theirs = socket.AF_INET6, own[0].removeprefix("::ffff:"), peer[0].removeprefix("::ffff:")
    if ":" not in theirs:
        family = socket.AF_INET
    ends = [socket.inet_pton(family, address).ljust(16, b"\0") for address in (theirs, ours)]
    identity = struct.pack("!HH", peer[1], own[1]) + b"".join(ends) + struct.pack("=III", 0, _ANY, _ANY)
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, _ANY) + identity
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(_HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST, 0, 0) + query)
        answer = kernel.recv(4096)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:  # an error: there is no such socket here
        return None
    _, state, _, _, _, _, _, uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return None if state == _LISTEN or inode == 0 else (uid, inode)  # no inode: its process has closed it


def _state(connection: Any) -> int:
    return int(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])


@cache
def _unknown_account() -> int:
    """The number under which the kernel reports accounts that this user namespace does not know."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    return 65_534
