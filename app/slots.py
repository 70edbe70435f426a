"""Slots of what is limited at a time: uploads, event streams, requests, connections.

None can have all of them: a user, a link or an address may have at most its share of the slots that are free, so that
one who holds many makes the limit of all others smaller, and one who holds none gets in. With a share of 1, one holds
at most half of all, two a third each, n 1/(n + 1) each. The rule is that of ports which share the memory of a switch:
Choudhury and Hahne 1998, "Dynamic queue length thresholds for shared-memory packet switches"; the shares are our own.
"""

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from fastapi import Request

from service.access.callers import Caller
from service.errors import BusyError, ServiceError, TooManyError

Holder = tuple[str, str]  # kind and name

SHARES = {
    "user": 1.0,
    "address": 2.0,  # a laboratory behind one address: two thirds at most
    "link": 0.5,  # all visitors of a shared result together: a third
    "visitor": 0.125,  # those at one address: a ninth
}
_WHOSE = {
    "user": "of your {what}",
    "address": "{what} of your address",
    "link": "{what} of this link",
    "visitor": "of your {what}",
}
_PREFIX_IPV6 = 64  # bits that a provider gives to one customer, who may use any address below them


class Slots:
    """A number of slots; one more is refused at once."""

    def __init__(
        self, what: str, most: int, *, most_each: Mapping[str, int] | None = None, shares: Mapping[str, float] = SHARES
    ):
        """Make slots of `what`, a plural, for example uploads.

        Args:
            most_each: by kind of holder, a limit beside its share.
            shares: by kind of holder, its share of the slots that are free.
        """
        self._what, self._most, self._most_each, self._shares = what, most, most_each or {}, shares
        self._held = Counter[Holder]()
        self.taken = 0

    @contextlib.contextmanager
    def acquire(self, holders: Sequence[Holder]) -> Iterator[None]:
        """Hold a slot during the block, counted for all of these holders.

        Raises:
            TooManyError: one of them has its share.
            BusyError: every slot is taken.
        """
        if refusal := self.refusal(holders):
            raise refusal
        self.take(holders)
        try:
            yield
        finally:
            self.release(holders)

    def refusal(self, holders: Sequence[Holder]) -> ServiceError | None:
        """The error for one more slot of these holders; None if they may take it."""
        free = self._most - self.taken
        for holder in holders:
            kind, held = holder[0], self._held[holder]
            if held and held >= min(self._shares[kind] * free, self._most_each.get(kind, held + 1)):
                whose = _WHOSE[kind].format(what=self._what)
                return TooManyError(
                    f"{held} {whose} are open now, the most just now. Close some or try again in a moment.", seconds=5
                )
        if not free:
            return BusyError(f"{self._most} {self._what} are open, the limit of this service. Try again in a moment.")
        return None

    def take(self, holders: Sequence[Holder]) -> None:
        """Take a slot; `release` must follow."""
        self.taken += 1
        self._held.update(holders)

    def release(self, holders: Sequence[Holder]) -> None:
        """Give back a slot that these holders took."""
        self.taken -= 1
        for holder in holders:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


def holders_of(request: Request, caller: Caller) -> list[Holder]:
    """Who holds what this request takes: its user, or the link that was opened, and its address."""
    address = network_of(request.client.host if request.client else "")
    if caller.name:
        return [("user", caller.name), ("address", address)]
    link = caller.key or ""
    return [("visitor", f"{link} {address}"), ("link", link), ("address", address)]


@lru_cache(4096)
def network_of(address: str) -> str:
    """The address by which a client is counted: of an IPv6 address, its network.

    >>> network_of("2001:db8::1:2:3:4"), network_of("::ffff:192.0.2.1"), network_of("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket, or what a proxy made up
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _PREFIX_IPV6), strict=False))
