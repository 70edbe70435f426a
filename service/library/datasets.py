"""Facts about data sets, so that a request can be checked without loading samples.

Built-in data sets are described here, and a test compares that with landscape.data. Uploaded ones are described in
their row, by the reader.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ..access.callers import LOCAL
from ..database.tables import Dataset
from ..errors import InvalidError
from .archives import FILES as ARCHIVES


@dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set before it is loaded."""

    name: str
    title: str
    splits: dict[str, int]  # samples in each
    classes: int
    shape: tuple[int, ...]  # of one sample: channels, height, width
    normalization: str
    kind: str = "images"  # or "vectors", "tokens"
    targets: str = "classes"  # or "values" (regression), "tokens" (language model)
    vocabulary: int = 0  # largest token + 1
    id: str | None = None  # of an uploaded one

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `shape` stays a tuple."""
        return asdict(self)


DATASETS = {
    facts.name: facts
    for facts in [
        DatasetFacts(
            "digits", "scikit-learn digits", {"train": 1500, "test": 297}, 10, (1, 8, 8), "(pixel / 16 − mean) / std"
        ),
        DatasetFacts(
            "synthetic",
            "synthetic images of CIFAR's shape, for measuring speed",
            {"train": 10_000, "test": 2_000},
            10,
            (3, 32, 32),
            "(pixel / 255 − 0.5) / 0.25",
        ),
    ]
}


def dataset_facts(name: str, session: Session | None = None) -> DatasetFacts:
    """The facts of the data set called `name`: a built-in one, or the one that `find` gives.

    Raises:
        InvalidError: there is none, or it cannot be used; the message lists the known ones.
    """
    if name in DATASETS:
        return DATASETS[name]
    row = None if session is None else find(session, name)
    if row is None:
        usable = select(Dataset.name).where(Dataset.state == "ready").limit(20)
        names: list[str] = [] if session is None else list(session.scalars(usable))
        known = ", ".join(dict.fromkeys([*DATASETS, *names]))
        raise InvalidError(f"Unknown data set {name[:64]!r}. Known: {known}."[:480], field="dataset")
    if row.state == "rejected":
        raise InvalidError(f"This data set was rejected: {row.reason}"[:480], field="dataset")
    if row.state != "ready":
        raise InvalidError("This data set is still being read. Try again in a moment.", field="dataset")
    return facts_of(row)


def find(session: Session, name: str) -> Dataset | None:
    """The data set with this id, else the one called so that is the caller's own or has no owner; other users' by id.

    Of several, one that can be used goes first, then an official archive that has its own name, then the caller's own
    uploads, then the newest. So no upload takes the place of an archive or of another user's data set.
    """
    own = session.info.get("caller", LOCAL).name
    nameable = or_(Dataset.owner == own, Dataset.owner.is_(None))
    second_choice = Dataset.owner.is_not(None) if name in ARCHIVES else Dataset.owner.is_(None)
    order = (Dataset.state != "ready", second_choice, Dataset.created.desc(), Dataset.id)
    by_name = select(Dataset).where(Dataset.name == name, nameable).order_by(*order).limit(1)
    return session.get(Dataset, name) or session.scalar(by_name)


def facts_of(row: Dataset) -> DatasetFacts:
    """The facts of an uploaded data set that has been read."""
    known = {key: row.facts[key] for key in ("splits", "classes", "normalization", "kind", "targets", "vocabulary")}
    return DatasetFacts(name=row.name, title=row.name, shape=tuple(row.facts["shape"]), id=row.id, **known)
