"""Whether a network, a data set and a request are compatible, as far as can be checked without loading them.

Every error names the field of the request.
"""

import math
from typing import Any

from ..errors import InvalidError
from ..library.datasets import DatasetFacts
from .spec import AnySpec


def require_compatible(spec: AnySpec, architecture: dict[str, Any], facts: DatasetFacts) -> None:
    """Refuse a request that cannot be computed.

    Args:
        architecture: as the reader described it.

    Raises:
        InvalidError: kind, shape or classes of the samples differ, a split is missing, a subset is too large.
    """
    _require_kind(architecture, facts)
    _require_outputs(architecture, facts)
    _require_samples(architecture, facts)
    if facts.targets != "classes" and spec.options["loss"] != "cross_entropy":
        raise InvalidError(
            f"The targets of {facts.name} are {facts.targets}, which have a loss of their own. Leave 'loss' out.",
            field="loss",
        )
    for field, split in (("split", spec.split), ("also", spec.also)):
        if split is not None and split not in facts.splits:
            known = ", ".join(facts.splits)
            raise InvalidError(f"{facts.name} has no {split} split. It has: {known}.", field=field)
    available = facts.splits[spec.split]
    if spec.subset and spec.subset.count > available:
        raise InvalidError(
            f"A subset of {spec.subset.count} samples is not possible: the {spec.split} split of {facts.name} "
            f"has {available}.",
            field="subset.count",
        )


def _input_of(architecture: dict[str, Any]) -> tuple[str, list[int | None]]:
    """The kind of sample that the network takes, and its shape."""
    takes = architecture.get("takes") or {"kind": "images", "shape": [architecture["channels"], None, None]}
    return takes["kind"], takes["shape"]


def _require_kind(architecture: dict[str, Any], facts: DatasetFacts) -> None:
    kind, _ = _input_of(architecture)
    if (kind == "tokens") != (facts.kind == "tokens"):
        raise InvalidError(f"The network takes {kind}; {facts.name} holds {facts.kind}.", field="dataset")


def _require_outputs(architecture: dict[str, Any], facts: DatasetFacts) -> None:
    """Require as many outputs as classes, or more for an uploaded set: it may lack samples of the last classes."""
    outputs = architecture["answers"] if "answers" in architecture else architecture["classes"]
    if facts.targets == "values" and outputs != facts.classes:
        raise InvalidError(
            f"The network has {outputs} outputs; {facts.name} has {facts.classes} target values.", field="dataset"
        )
    enough = outputs >= facts.classes if facts.id else outputs == facts.classes
    if not enough:
        raise InvalidError(f"The network has {outputs} classes; {facts.name} has {facts.classes}.", field="dataset")


def _require_samples(architecture: dict[str, Any], facts: DatasetFacts) -> None:
    kind, shape = _input_of(architecture)
    if kind == "images" and facts.kind == "images" and shape[0] not in (None, facts.shape[0]):
        raise InvalidError(
            f"The network takes images with {shape[0]} channels; those of {facts.name} have {facts.shape[0]}.",
            field="dataset",
        )
    flat = architecture.get("family") == "mlp" and math.prod(facts.shape) == shape[0]
    same = len(shape) == len(facts.shape) and all(a in (None, b) for a, b in zip(shape, facts.shape, strict=True))
    if not flat and not same:
        wanted = "×".join("any" if length is None else str(length) for length in shape)
        got = "×".join(str(length) for length in facts.shape)
        raise InvalidError(f"The network takes samples of {wanted}; those of {facts.name} are {got}.", field="dataset")
    vocabulary = architecture.get("vocabulary")
    if vocabulary is not None and facts.vocabulary > vocabulary:
        raise InvalidError(
            f"The network knows {vocabulary} tokens; {facts.name} has tokens up to {facts.vocabulary - 1}.",
            field="dataset",
        )
