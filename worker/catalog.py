"""The data sets a job may name, as far as a request can be checked without loading them.

Imports nothing. The samples themselves come from landscape.data; a test holds the two against each other.
"""

from dataclasses import asdict, dataclass
from typing import Any

from .errors import InvalidError


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a data set before it is loaded."""

    name: str
    title: str
    splits: dict[str, int]  # samples in each
    classes: int
    shape: tuple[int, int, int]  # channels, height, width
    normalization: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


DATASETS = {
    facts.name: facts
    for facts in [
        DatasetFacts(
            "digits", "scikit-learn digits", {"train": 1500, "test": 297}, 10, (1, 8, 8), "(pixel / 16 − mean) / std"
        )
    ]
}


def dataset_facts(name: str) -> DatasetFacts:
    """The facts of the data set called `name`.

    Raises:
        InvalidError: there is none; the message lists the known.
    """
    if name not in DATASETS:
        raise InvalidError(f"Unknown data set {name[:64]!r}. Known: {', '.join(DATASETS)}.", field="dataset")
    return DATASETS[name]
