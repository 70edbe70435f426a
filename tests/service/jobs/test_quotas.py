"""What counts for the storage quota, and how long the sanitized file of an upload may become."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.database.tables import Checkpoint, Dataset
from service.errors import InvalidError, NoSpaceError, QuotaError
from service.jobs.quotas import SMALL, held_bytes, require_bytes, sanitized_room
from service.library import uploads
from service.settings import Settings
from service.storage import resumable

FREE = 1 << 40
LIMITS = Settings(max_user_bytes=1 << 30, min_free_bytes=1000)


def uploaded(session: Session, table: type[Checkpoint] | type[Dataset], size: int, read: int = 0, **named: Any) -> Any:
    add = uploads.add_checkpoint if table is Checkpoint else uploads.add_dataset
    row = add(session, name="a", sha256="0" * 64, size=size, **{"owner": "ann", **named})
    row.sanitized_size = read
    session.flush()
    return row


def test_uploads_sanitized_files_and_announced_uploads_count_for_each_row_and_owner(session: Session) -> None:
    uploaded(session, Checkpoint, 10, 20)
    uploaded(session, Checkpoint, 10, 20)  # the same bytes are stored once, and count for each that has them
    uploaded(session, Dataset, 300, 4000)
    uploaded(session, Dataset, 5, 7, owner="ben")
    uploaded(session, Dataset, 5, 7, owner=None)
    resumable.begin(session, purpose="dataset", name="b", size=50_000, owner="ann", hours=1)
    assert [held_bytes(session, name) for name in ("ann", "ben", "cid")] == [54360, 12, 0]
    require_bytes(session, Settings(max_user_bytes=54370), "ann", 10)
    with pytest.raises(QuotaError, match="hold 54360 bytes; with 11 more"):
        require_bytes(session, Settings(max_user_bytes=54370), "ann", 11)


@pytest.mark.parametrize(("table", "growth"), [(Checkpoint, 4), (Dataset, 250)])
def test_a_small_file_becomes_a_large_one_only_as_real_ones_do(session: Session, table: Any, growth: int) -> None:
    for size, most in ((1672, SMALL), (1 << 27, growth << 27)):
        room = sanitized_room(session, Settings(), uploaded(session, table, size, owner=None), FREE)
        assert room.bytes == most
        with pytest.raises(InvalidError, match=f"has {size} bytes and would take more than {most}"):
            raise room.reached


def test_what_is_left_of_the_owners_quota_bounds_the_sanitized_file(session: Session) -> None:
    uploaded(session, Checkpoint, 1 << 20, (1 << 30) - (10 << 20))
    row = uploaded(session, Dataset, 1 << 20)
    room = sanitized_room(session, LIMITS, row, FREE)
    assert room.bytes == 8 << 20
    with pytest.raises(QuotaError, match=f"{8 << 20} are left"):
        raise room.reached
    row.sanitized_size = 8 << 20  # read again: what it holds already is no reason to refuse it
    assert sanitized_room(session, LIMITS, row, FREE).bytes == 8 << 20
    uploaded(session, Dataset, 1 << 30)
    assert sanitized_room(session, LIMITS, uploaded(session, Checkpoint, 1), FREE).bytes == 0
    assert sanitized_room(session, LIMITS, uploaded(session, Checkpoint, 1, owner="ben"), FREE).bytes == SMALL


def test_the_disk_keeps_its_floor_and_a_full_one_is_no_fault_of_the_file(session: Session) -> None:
    row = uploaded(session, Checkpoint, 1 << 20)
    for free, left in ((2000, 1000), (1000, 0), (10, 0)):
        room = sanitized_room(session, LIMITS, row, free)
        assert room.bytes == left
        with pytest.raises(NoSpaceError):
            raise room.reached
