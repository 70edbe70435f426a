"""What was asked for to compute a result: the request in its provenance, or what follows from that of earlier versions.

A request is {"kind", "grid", "options", …}, see kinds/prepare.py; a computation by files also names "checkpoints",
"dataset", "split", "subset" and "architecture". `UNWRITTEN` marks what JSON cannot hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import LandscapeError
from ..options import DirectionOptions, choices_of
from ..results.arrays import Arrays
from . import kind_of

UNWRITTEN = "python"  # {"python": "a name"}: an option that was an object: a function, tensors, given directions
POLICIES = choices_of("BatchNorm")
ALONG_CHECKPOINTS = ("between checkpoints", "through checkpoints", "pca")  # directions that follow from the kind
NAMES = ("dataset", "split", "subset", "samples_in_split")


def request_of(result: Arrays) -> dict[str, Any]:
    """The request of a result, {"kind", "options", …}; its grid is `result.grid`.

    Raises:
        LandscapeError: the result has no provenance: a .csv file, or one of the authors' code.
        UnknownNameError: its kind is not known.
    """
    facts = result.provenance
    if "weights_sha256" not in facts:
        raise LandscapeError(
            "This result has numbers only, and not how they were computed. Reproduce one from a .npz, .json or .h5 "
            "file that `save` wrote."
        )
    recorded = facts.get("request") or {"kind": result.kind, "options": _options(result)}
    options = {**as_before(recorded["kind"], recorded["options"]), **_seeds(facts)}
    return {**{name: facts[name] for name in NAMES if name in facts}, **recorded, "options": options}


def as_before(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a request, with the meaning of those that earlier versions did not have.

    Raises:
        UnknownNameError: the kind is not known.
    """
    return {**({"filters": "axes"} if DirectionOptions in kind_of(kind).own else {}), **options}


def is_written(value: Any) -> bool:
    """Whether an option of a request is complete, without an object that JSON could not hold."""
    if isinstance(value, Mapping):
        return UNWRITTEN not in value and all(map(is_written, value.values()))
    return isinstance(value, str) or not isinstance(value, Sequence) or all(map(is_written, value))


def _options(result: Arrays) -> dict[str, Any]:
    """The options that follow from the provenance of a version that recorded no request."""
    facts = result.provenance
    loss, drawn = facts.get("loss") or {}, facts.get("directions") or {}
    options = {
        **_loss(str(loss.get("name", "cross_entropy"))),
        "weight_decay": loss.get("weight_decay", 0.0),
        "batch_norm": facts.get("batch_norm", "frozen"),
        "compare_batch_norm": [one for one in POLICIES if f"{one}_losses" in result.extra],
        "precision": facts["precision"],
        **_directions(result, str(drawn.get("source", "random")), drawn),
    }
    if facts.get("calibration_samples") is not None:
        options["calibration"] = facts["calibration_samples"]
    if also := _further(result):
        options["also"] = {name: {UNWRITTEN: "samples"} for name in also}
    if facts.get("curvature"):
        options |= {name: facts["curvature"][name] for name in ("over", "steps")}
    return options


def _further(result: Arrays) -> list[str]:
    """The names of further samples, by their columns: NAME_losses."""
    others = (*POLICIES, "lowest", "highest")  # columns of BatchNorm policies and of the spread over seeds
    stems = [name.removesuffix("_losses") for name in result.extra if name.endswith("_losses")]
    return [stem for stem in stems if stem not in others]


def _loss(name: str) -> dict[str, Any]:
    """A loss by its name in the provenance; another name is that of a function."""
    base, _, smoothing = name.partition(", label smoothing ")
    if base not in choices_of("LossName"):
        return {"loss": {UNWRITTEN: name}}
    return {"loss": base, **({"label_smoothing": float(smoothing)} if smoothing else {})}


def _directions(result: Arrays, source: str, drawn: Mapping[str, Any]) -> dict[str, Any]:
    facts = result.provenance
    if source in ALONG_CHECKPOINTS:
        return {}
    if DirectionOptions not in kind_of(result.kind).own:
        return {"directions": {UNWRITTEN: source}}
    if source != "random" and source in choices_of("Source"):  # computed again
        drawn_too = source == "gradient" and len(result.betas) > 1  # the second direction, by a seed
        return {"directions": source, **({"seed": {UNWRITTEN: "seed"}} if drawn_too else {})}
    if source != "random":
        return {"directions": {"file": drawn["file"]} if "file" in drawn else {UNWRITTEN: source}}
    how = {name: drawn[name] for name in ("biases", "orthogonality", "drawn") if name in drawn}
    filters = "weights" if facts.get("scales") else "axes"  # without scales the same
    return {"seed": facts["seed"], "normalization": facts["normalization"], "filters": filters, **how}


def _seeds(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The seeds of a mean over several: also of one to which seeds were added later.

    Raises:
        LandscapeError: they are not consecutive, as no request has them.
    """
    seeds = list((facts.get("repeated") or {}).get("seeds", ()))
    if not seeds:
        return {}
    if seeds != list(range(seeds[0], seeds[0] + len(seeds))):
        raise LandscapeError(
            f"This result is the mean over the seeds {', '.join(map(str, seeds))}, which are not consecutive: no "
            "single request has them. Reproduce the results that it was merged from."
        )
    return {"seed": seeds[0], "repeats": len(seeds)}
