"""The caption: every setting behind a picture, in one line, for the page and for every export.

It is made from the provenance; keys missing in older results have their defaults.
"""

from collections.abc import Mapping
from typing import Any

from ..grid import Axis, Grid

Facts = Mapping[str, Any]

NORMALIZED = {
    "filter": "filter-normalized",
    "layer": "layer-normalized",
    "weight": "scaled by every weight (not filter-normalized)",
    "dfilter": "filters of norm 1 (not filter-normalized)",
    "dlayer": "layers of norm 1 (not filter-normalized)",
    "none": "not normalized",
}
ORTHOGONAL = {"filter": "orthogonal in every filter", "overall": "orthogonal overall", "none": "independent draws"}
BIASES = {"fixed": "", "parameter": "biases along themselves", "random": "biases moved too"}


def caption(grid: Grid, facts: Facts) -> str:
    """The caption; empty until the provenance is known."""
    return " · ".join(text for text in settings(grid, facts).values() if text) if facts else ""


def settings(grid: Grid, facts: Facts) -> dict[str, str]:
    """Every setting in words, by its name in the order of the caption; "" for one that goes without saying.

    Args:
        facts: the provenance, not empty.
    """
    return {
        "network": (facts.get("architecture") or {}).get("label", ""),
        "data": _data(facts),
        "grid": _points(grid),
        "directions": " · ".join(filter(None, _directions(facts, pair=grid.beta is not None))),
        "loss": _loss(facts.get("loss") or {}),
        "batch": _batch(facts),
        "batch_norm": _batch_norm(facts),
        "seed": _seeds(facts),
        "precision": facts["precision"] if facts["precision"] != "float32" else "",
    }


def _data(facts: Facts) -> str:
    samples, of = facts["samples"], facts["samples_in_split"]
    return f"{facts['dataset']}, {samples if samples == of else f'{samples} of {of}'} {facts['split']} samples"


def _points(grid: Grid) -> str:
    axes = [axis for axis in (grid.alpha, grid.beta) if axis]
    spans = [_span(axis) for axis in axes]
    span = f"{spans[0]}²" if len(spans) == 2 and spans[0] == spans[1] else " × ".join(spans)
    return f"{' × '.join(str(axis.count) for axis in axes)} points on {span}".replace("-", "−")


def _span(axis: Axis) -> str:
    return f"[{axis.min:g}, {axis.max:g}]"


def _directions(facts: Facts, *, pair: bool) -> list[str]:
    drawing = facts.get("directions") or {}
    source = drawing.get("source", "random")
    if source != "random":
        statistics = "statistics moved too" if drawing.get("moves_statistics") else ""
        return [drawing.get("label", f"directions: {source}"), statistics]
    words = NORMALIZED[facts["normalization"]]
    if pair:
        words += f", {ORTHOGONAL[drawing.get('orthogonality', 'filter')]}"
    return [words, BIASES[drawing.get("biases", "fixed")], _scales(facts, drawing)]


def _scales(facts: Facts, drawing: Facts) -> str:
    """What parameters with several axes are that are not weights."""
    count = len(facts.get("scales") or [])
    if not count or drawing.get("biases", "fixed") != "fixed":
        return ""
    return f"{count} {'scales and shifts' if count > 1 else 'scale'} of several axes fixed"


def _loss(loss: Facts) -> str:
    name, decay = loss.get("name", "cross_entropy"), loss.get("weight_decay", 0)
    parts = [] if name == "cross_entropy" else [name.replace("_", "-") if name.startswith("cross_entropy") else name]
    return ", ".join([*parts, f"weight decay {decay:g}"] if decay else parts)


def _seeds(facts: Facts) -> str:
    seeds = list((facts.get("repeated") or {}).get("seeds", ()))
    if not seeds:
        return f"seed {facts['seed']}" if facts.get("seed") is not None else ""
    in_a_row = seeds == [*range(seeds[0], seeds[0] + len(seeds))]
    return f"mean of seeds {f'{seeds[0]} to {seeds[-1]}' if in_a_row else ', '.join(map(str, seeds))}"


def _batch(facts: Facts) -> str:
    if not (facts.get("forward") or {}).get("together"):
        return ""
    one = facts["batch"] >= facts["samples"]
    return f"loss of {'one batch' if one else 'batches'} of {facts['samples'] if one else facts['batch']}"


def _batch_norm(facts: Facts) -> str:
    policy, tracked = facts.get("batch_norm", "frozen"), facts.get("has_batch_norm") is not False
    by_batch = facts.get("batch_statistics", policy == "batch" and tracked)
    parts = []
    if tracked and policy == "recalibrated":
        parts.append(f"BatchNorm recalibrated on {facts['calibration_samples']} samples")
    if tracked and policy == "frozen":
        parts.append("BatchNorm frozen")
    if by_batch:
        parts.append(f"BatchNorm of batches of {facts['batch']}")
    return ", ".join(parts) or "no BatchNorm"
