"""The facts about a data set that are known before it is loaded are correct."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from landscape.data import BUILT_IN, load
from service.access.callers import LOCAL, Caller
from service.errors import InvalidError
from service.library import uploads
from service.library.datasets import DATASETS, dataset_facts, find


@pytest.mark.parametrize("name", DATASETS)
def test_the_facts_of_a_built_in_data_set_agree_with_its_samples(name: str) -> None:
    facts = dataset_facts(name)
    for split, count in facts.splits.items():
        samples = load(name, split)
        assert len(samples) == count
        assert samples.classes == facts.classes
        assert tuple(samples.images.shape[1:]) == facts.shape


def test_every_built_in_data_set_has_facts() -> None:
    assert set(DATASETS) == set(BUILT_IN)


def test_an_unknown_data_set_is_refused_with_a_list_of_the_known_ones() -> None:
    with pytest.raises(InvalidError, match="Known: digits"):
        dataset_facts("imagenet")


def added(session: Session, name: str, owner: str | None, **columns: Any) -> str:
    row = uploads.add_dataset(session, name=name, sha256="0" * 64, size=1, owner=owner)
    for column, value in {"state": "ready", **columns}.items():
        setattr(row, column, value)
    session.flush()
    return row.id


def test_a_name_means_ones_own_data_set_or_one_without_an_owner(session: Session) -> None:
    own, shared, others = added(session, "x", "ann"), added(session, "x", None), added(session, "x", "eve", created=9e9)
    for caller, found in (
        (Caller("ann", frozenset({"read"})), own),
        (Caller("ben", frozenset({"read"})), shared),
        (Caller("root", frozenset({"admin"})), shared),  # who sees all of them
        (LOCAL, shared),
    ):
        session.info["caller"] = caller
        row = find(session, "x")
        assert row is not None
        assert row.id == found
    session.info["caller"] = LOCAL
    assert find(session, others) is not None  # by its id
    added(session, "y", "eve")
    assert find(session, "y") is None


def test_the_name_of_an_official_archive_means_the_archive_if_it_can_be_used(session: Session) -> None:
    session.info["caller"] = Caller("ann", frozenset({"read"}))
    own = added(session, "cifar10", "ann", created=9e9)
    for state in ("ready", "rejected"):
        archive = added(session, "cifar10", None, state=state)
        row = find(session, "cifar10")
        assert row is not None
        assert row.id == (archive if state == "ready" else own)
        uploads.delete_dataset(session, archive)
