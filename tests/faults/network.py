"""The parts of a lab on hosts of their own, whose connections can be cut: network namespaces on one bridge.

Needs Linux, root and iproute2. A cut drops packets silently, as a dead switch does, without an error.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from secrets import token_hex

SERVICE = "service"  # the namespace of the tests, with the API and a worker
OTHERS = ("database", "broker", "worker")
NOWHERE = "02:00:00:00:00:66"  # an Ethernet address that no interface has


class NoNetworkError(Exception):
    """This machine has no network namespaces; the message says why."""


class Network:
    """A bridge, the namespace of the tests on it, and one for each of the others."""

    def __init__(self) -> None:
        token = token_hex(3)
        self._bridge = f"soak{token}"
        first = f"10.{int(token[:2], 16) % 200 + 20}.{int(token[2:4], 16)}"
        self.addresses = {name: f"{first}.{number}" for number, name in enumerate((SERVICE, *OTHERS), 1)}

    def within(self, name: str) -> list[str]:
        """What a command begins with that runs on this host."""
        return ["ip", "netns", "exec", self._namespace(name)]

    @contextlib.contextmanager
    def cut(self, one: str, *others: str) -> Iterator[None]:
        """Nothing from the first host reaches the others, so no connection between them goes on."""
        try:
            for other in others:
                self._neighbor(one, "replace", self.addresses[other], "lladdr", NOWHERE, "nud", "permanent")
            yield
        finally:
            for other in others:
                self._neighbor(one, "del", self.addresses[other])

    def _neighbor(self, host: str, *what: str) -> None:
        where, device = ([], self._bridge) if host == SERVICE else (["-n", self._namespace(host)], "eth0")
        _ip(*where, "neigh", *what, "dev", device)

    def _namespace(self, name: str) -> str:
        return f"{self._bridge}-{name}"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.addresses[SERVICE]}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for name in OTHERS:
            inside, outside = self._namespace(name), f"{self._bridge}{name[0]}"
            _ip("netns", "add", inside)
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", inside)
            _ip("link", "set", outside, "master", self._bridge, "up")
            _ip("-n", inside, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", inside, "link", "set", device, "up")

    def _remove(self) -> None:
        for command in (*(("netns", "del", self._namespace(name)) for name in OTHERS), ("link", "del", self._bridge)):
            with contextlib.suppress(NoNetworkError):  # it was not made
                _ip(*command)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network for the length of the block.

    Raises:
        NoNetworkError: this machine cannot have one.
    """
    made = Network()
    try:
        made._make()
        yield made
    finally:
        made._remove()


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoNetworkError("the command 'ip' was not found (apt-get install iproute2)") from None
    except subprocess.CalledProcessError as error:
        raise NoNetworkError(f"'ip {' '.join(arguments)}' failed: {error.stderr.strip()}") from None
