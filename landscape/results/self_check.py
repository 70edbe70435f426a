"""The self-check: is this plot correct? One line per check, passed or failed, with its numbers.

It reads the provenance of a result or of the database; keys missing in older results have their defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Facts = Mapping[str, Any]

_ROUNDING = {"float64": 1e-9, "float32": 1e-5, "bfloat16": 0.1}  # relative
_OWN_ROUNDING = {"float64": 0.0, "float32": 1e-4}  # of the independent value, which is rounded otherwise


@dataclass(frozen=True)
class Check:
    """One line of the self-check: what was checked, whether it passed, and the numbers."""

    name: str
    passed: bool
    text: str


def self_check(facts: Facts, losses: NDArray[np.float64], computed: NDArray[np.bool_]) -> list[Check]:
    """Check the properties of a correct result.

    Args:
        facts: its provenance, not empty.
        losses: (n, m).
        computed: (n, m), which of them are computed.
    """
    forward = _forward(facts)
    lines: list[Check | None] = [forward]
    if forward is None or forward.passed:
        lines.insert(0, _center(facts, losses, computed))
    lines += [_original(facts), *_far_end(facts), _audit(facts), _cosine(facts), _norms(facts)]
    lines += [
        Check("model unchanged", facts["model_unchanged"], "parameters and buffers compared before and after"),
        Check("evaluation mode", facts["mode"] == "evaluation", f"{facts['mode']} mode, BatchNorm {_policy(facts)}"),
        _data(facts),
        _values(facts),
        _product(facts),
        _finite(facts, losses, computed),
    ]
    return [line for line in lines if line is not None]


def tolerance(facts: Facts) -> float:
    """Relative difference allowed between two correct evaluations: rounding in the precision."""
    return _ROUNDING[facts["precision"]]


def _agree(one: float | None, other: float | None, facts: Facts) -> tuple[bool, str]:
    if one is None or other is None:
        return False, "not finite"
    difference = abs(one - other) / max(abs(other), 1e-3)  # below 0.001 absolute, not relative
    precision = facts["center"].get("independent_precision", "float64")
    limit = max(tolerance(facts), _OWN_ROUNDING.get(precision, 0.1))
    return difference <= limit, f"relative difference {difference:.1e}"


def _forward(facts: Facts) -> Check | None:
    """What makes a comparison at the center meaningless, if anything does; or which parameters change nothing."""
    found = facts.get("forward") or {}
    if found.get("keeps_state"):
        text = "the network keeps state: a second pass over the same samples gives other losses, so no value is certain"
    elif found.get("random"):
        text = "the network draws random numbers in evaluation mode: every value belongs to one draw"
    elif not found.get("moves", True):
        text = "moving the parameters changes nothing: the network computes with something else, as with kept weights"
    elif found.get("kept"):
        text = f"moving {_names(found['kept'])} changes nothing: the network computes with a copy that it keeps"
    elif not found.get("follows", True):
        text = "a new copy with the moved parameters gives other outputs: the network keeps something from before"
    elif found.get("still"):
        return Check("forward pass", True, f"no output depends on {_names(found['still'])}: moving it changes nothing")
    else:
        return None
    return Check("forward pass", False, text)


def _names(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _center(facts: Facts, losses: NDArray[np.float64], computed: NDArray[np.bool_]) -> Check:
    center = facts["center"]
    loss, other, method = center["loss"], center["independent_loss"], center["independent_method"]
    close, words = _agree(loss, other, facts)
    text = f"engine {_short(loss)}, {method} {_short(other)}, {words}"
    at = center.get("point")
    if close and at is not None and computed[tuple(at)]:
        value = float(losses[tuple(at)])
        close, words = _agree(value, loss, facts)
        text += f"; on the grid {_short(value)}"
    return Check("center loss", close, text)


def _original(facts: Facts) -> Check | None:
    """Whether a packed network computes the same as the module that it was made from."""
    found = facts.get("original")
    if not found:
        return None
    if "unverified" in found:
        return Check("original module", True, not_verified(facts))
    trials, differences, limit = found["trials"], found["differences"], found["limit"]
    close = all(worst is not None and worst <= limit for worst in differences)
    worst = "not finite" if None in differences else f"{max(differences):.1e}"
    samples, moved = sum(count for _, count, _ in trials), len({point for _, _, point in trials} - {0})
    where = f"{len(trials)} batches of {samples} samples in all, with its weights and {moved} others near them"
    text = f"its outputs in {found['precision']} and those of the packed network: relative difference {worst} ({where})"
    return Check("original module", close, text)


def not_verified(facts: Facts) -> str:
    """Of a packed network that could not be compared with its original, a sentence that says so; else empty."""
    reason = (facts.get("original") or {}).get("unverified")
    return f"not verified against the original: {reason}" if reason else ""


def _far_end(facts: Facts) -> list[Check]:
    """At other checkpoints in the plane the plot must show their losses."""
    ends = facts.get("landmark_losses") or []
    lines = []
    for end in ends:
        close, words = _agree(end["loss"], end["independent_loss"], facts)
        text = f"plot {_short(end['loss'])}, checkpoint alone {_short(end['independent_loss'])}, {words}"
        lines.append(Check(f"checkpoint {end['name']!r}", close, text))
    return lines


def _audit(facts: Facts) -> Check | None:
    found = facts.get("audit")
    if not found:
        return None
    text = f"{found['points']} points again in float32: relative error median {_short(found['median'])}"
    worst = found["worst"]
    passed = worst is not None and worst <= tolerance(facts)
    return Check(f"{facts['precision']} error", passed, f"{text}, worst {_short(worst)}")


def _cosine(facts: Facts) -> Check | None:
    cosine, alone = facts["cosine"], facts["parallel_filters"]
    if cosine is None:
        return None
    drawing = facts.get("directions") or {}
    text = f"cos(δ, η) = {cosine:.1e}"
    if drawing.get("source", "random") == "random" and drawing.get("orthogonality", "filter") == "none":
        return Check("directions orthogonal", True, f"{text}; independent draws, not made orthogonal")
    if drawing.get("biases", "fixed") == "parameter":
        return Check("directions orthogonal", True, f"{text}; biases are the same in both, the rest is orthogonal")
    if drawing.get("source", "random") in ("given", "file"):
        return Check("directions orthogonal", True, f"{text}; as given")
    if drawing.get("orthogonality") == "overall" and abs(cosine) <= 1e-6:
        return Check("directions orthogonal", True, text)  # one filter made up for another
    if alone and "turned_cosine" in facts:
        text += f", {facts['turned_cosine']:.1e} without {alone} one-element filters, which cannot be orthogonal"
        cosine = facts["turned_cosine"]
    elif alone:  # of an older result
        text += f"; {alone} one-element filters cannot be orthogonal"
    limit = 0.1 if alone and "turned_cosine" not in facts else 1e-6
    return Check("directions orthogonal", abs(cosine) <= limit, text)


def _norms(facts: Facts) -> Check:
    kind = facts["normalization"]
    low, high, still = facts["filter_ratio_min"], facts["filter_ratio_max"], _zero_filters(facts)
    if facts.get("filters") == 0 and not facts.get("zero_filters"):
        return Check("filter norms", True, "no parameter has filters")
    if kind == "layer":
        return _ratio("layer", facts.get("layer_ratio_min"), facts.get("layer_ratio_max"), "")
    if kind == "filter":
        return _ratio("filter", low, high, still)
    warning = "sharpness is comparable between networks with filter normalization only"
    ratios = f"‖direction filter‖ / ‖weight filter‖ from {_short(low)} to {_short(high)}"
    return Check("filter norms", True, f"{ratios}, normalization {kind!r}: {warning}{still}")


def _ratio(part: str, low: float | None, high: float | None, still: str) -> Check:
    close = low is not None and high is not None and max(abs(low - 1), abs(high - 1)) <= 1e-6
    text = f"‖direction {part}‖ / ‖weight {part}‖ from {low} to {high}, expected 1{still}"
    return Check(f"{part} norms", close, text)


def _zero_filters(facts: Facts) -> str:
    count, names = facts.get("zero_filters") or 0, facts.get("zero_names") or []
    where = f", the first in {names[0]!r}" if names else ""
    return f"; {count} filters are zero and stay{where}" if count else ""


def _data(facts: Facts) -> Check | None:
    digest = facts.get("data_sha256")
    if digest is None:
        return None
    same = facts.get("data_unchanged", True)
    return Check("data digest", same, f"{facts['samples']} samples, SHA-256 {digest[:12]}…")


def _values(facts: Facts) -> Check | None:
    """Of a file whose values are not those that were written."""
    changed = facts.get("values_changed")
    return Check("values", False, "values in the file were changed after it was written") if changed else None


def _product(facts: Facts) -> Check | None:
    found = facts.get("curvature")
    if not found:
        return None
    error = found.get("product_error")
    text = f"H·v and a difference of gradients differ by {_short(error)} of their size, in float64"
    return Check("Hessian product", error is not None and error <= 1e-4, text)


def _finite(facts: Facts, losses: NDArray[np.float64], computed: NDArray[np.bool_]) -> Check:
    nan = int((computed & np.isnan(losses)).sum())
    infinite = int((computed & np.isinf(losses)).sum())
    text = f"{nan} NaN, {infinite} infinite of {int(computed.sum())} points"
    if nan and (facts.get("directions") or {}).get("moves_statistics") and _policy(facts) == "frozen":
        text += "; running variances turn negative beyond the checkpoints: recalibrate BatchNorm there"
    elif infinite:
        text += "; numbers overflow there: the loss is above what the precision holds, a smaller window shows the rest"
    elif nan:
        text += "; a step of the network or loss has no value there: ∞ − ∞, 0 / 0, or a root or logarithm below 0"
    return Check("finite losses", not nan and not infinite, text)


def _policy(facts: Facts) -> str:
    return str(facts.get("batch_norm", "frozen"))


def _short(number: float | None) -> str:
    return "not finite" if number is None else f"{number:.7g}"
