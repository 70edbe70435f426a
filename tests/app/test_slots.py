"""Slots: none can hold all of them, however many callers take what they can."""

from collections import Counter
from itertools import cycle, islice

import pytest
from fastapi import Request

from app.slots import SHARES, Holder, Slots, holders_of
from service.access.callers import LINK, Caller
from service.errors import BusyError, TooManyError


def user(name: str, address: str = "") -> list[Holder]:
    return [("user", name), ("address", address or f"address of {name}")]


def visitor(link: str, address: str) -> list[Holder]:
    return [("visitor", f"{link} {address}"), ("link", link), ("address", address)]


def filled(slots: Slots, *callers: list[Holder], tries: int = 2000) -> list[int]:
    """How many slots each of these callers gets, who take turns as long as they get any."""
    got = Counter[int]()
    for number, holders in islice(cycle(enumerate(callers)), tries):
        if slots.refusal(holders) is None:
            slots.take(holders)
            got[number] += 1
    return [got[number] for number in range(len(callers))]


@pytest.mark.parametrize("greedy", [1, 2, 5, 20])
def test_users_who_take_all_they_can_leave_room_for_another(greedy: int) -> None:
    slots = Slots("uploads", 256)
    held = filled(slots, *[user(f"greedy {n}") for n in range(greedy)])
    assert max(held) - min(held) <= 1
    assert held[0] == pytest.approx(256 / (greedy + 1), abs=1)
    assert filled(slots, user("late")) >= [5]


def test_one_address_with_many_names_leaves_room_for_other_addresses() -> None:
    slots = Slots("event streams", 1000)
    held = filled(slots, *[user(f"name {n}", "one address") for n in range(50)], tries=20_000)
    assert sum(held) == pytest.approx(667, abs=1)
    assert filled(slots, user("late")) >= [150]


def test_visitors_of_a_link_leave_room_for_its_other_visitors_and_for_users() -> None:
    slots = Slots("event streams", 1000)
    first = sum(filled(slots, visitor("shared", "first")))
    assert first == pytest.approx(111, abs=1)
    others = filled(slots, *[visitor("shared", f"address {n}") for n in range(50)], tries=20_000)
    assert sum(others) == pytest.approx(333 - first, abs=1)
    assert filled(slots, visitor("another link", "late")) >= [50]
    assert filled(slots, user("owner of the link")) >= [200]


def test_a_request_is_counted_for_its_user_or_its_link_and_for_its_address() -> None:
    request = Request({"type": "http", "client": ("2001:db8::1:2:3:4", 5), "headers": []})
    ada = Caller("ada", frozenset({"read"}))
    assert holders_of(request, ada) == [("user", "ada"), ("address", "2001:db8::/64")]
    link = Caller("", frozenset({LINK}), key="id of the link")
    assert holders_of(request, link) == [
        ("visitor", "id of the link 2001:db8::/64"),
        ("link", "id of the link"),
        ("address", "2001:db8::/64"),
    ]


def test_a_limit_for_each_user_applies_beside_the_shares() -> None:
    assert filled(Slots("uploads", 256, most_each={"user": 3}), user("ada"), user("bob")) == [3, 3]


def test_the_only_slot_is_given_to_one_at_a_time() -> None:
    slots = Slots("uploads", 1)
    with slots.acquire(user("ada")):
        with pytest.raises(BusyError, match="1 uploads are open, the limit"), slots.acquire(user("bob")):
            pass
        with pytest.raises(TooManyError, match="1 of your uploads are open"), slots.acquire(user("ada")):
            pass
    with slots.acquire(user("bob")):
        assert slots.taken == 1
    assert slots.taken == 0


def test_a_slot_is_given_back_after_an_error() -> None:
    slots = Slots("uploads", 2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), slots.acquire(user("ada")):
            raise ZeroDivisionError
    assert filled(slots, user("ada"), user("bob")) == [1, 1]


def test_every_kind_of_holder_has_a_sentence_for_its_refusal() -> None:
    for kind in SHARES:
        slots, holder = Slots("uploads", 10), (kind, "name")
        filled(slots, [holder])
        refusal = slots.refusal([holder])
        assert isinstance(refusal, TooManyError)
        assert "are open now, the most just now" in str(refusal)
