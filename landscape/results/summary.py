"""A result in words: one line for `repr`, several for `print`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .arrays import Arrays
from .caption import settings


def summary_line(result: Arrays) -> str:
    """One line: the kind, how many points are computed, the losses, the self-check."""
    n, m = result.losses.shape
    finite, odd, check = result.losses[np.isfinite(result.losses)], len(result.non_finite), checked(result)
    parts = [
        f"{n} × {m} points" if m > 1 else f"{n} points",
        _done(result),
        f"losses {finite.min():.4g} to {finite.max():.4g}" if len(finite) else "no finite loss",
        f"{odd} NaN or infinite" if odd else "",
        f"self-check {check}" if check else "",
    ]
    return f"<Result {result.kind}: {', '.join(filter(None, parts))}>"


def summary(result: Arrays) -> str:
    """A line each for points, values, network, data, directions, how it was computed, and the self-check."""
    lines = [(name, text) for name, text in _lines(result) if text]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)


def checked(result: Arrays) -> str:
    """ "✓ 7 of 7", or "✗" with the names of the checks that failed; empty until the center is known."""
    checks = result.checks
    failed = [check.name for check in checks if not check.passed]
    return f"✗ {', '.join(failed)}" if failed else f"✓ {len(checks)} of {len(checks)}" if checks else ""


def _lines(result: Arrays) -> Iterator[tuple[str, str]]:
    facts = result.provenance
    words = settings(result.grid, facts) if facts else {}
    yield result.kind, ", ".join(filter(None, [words.get("grid") or _shape(result), _done(result)]))
    for name in result.columns:
        scores = not name.endswith("accuracies") or bool(np.isfinite(result.array(name)).any())  # none without classes
        if scores and not name.endswith(("error", "errors")):
            yield name, _values(result, name)
    if facts:
        yield "network", words["network"] + _digest(", weights of SHA-256", facts.get("weights_sha256"))
        yield "data", words["data"] + _digest(", SHA-256", facts.get("data_sha256"))
        yield "directions", ", ".join(filter(None, [words["directions"].replace(" · ", ", "), words["seed"]]))
        yield "objective", ", ".join(filter(None, [*_loss(facts.get("loss") or {}), words["batch_norm"]]))
        yield "computed", _how(facts)
        yield "self-check", checked(result)


def _done(result: Arrays) -> str:
    done = int(result.computed.sum())
    return "all computed" if done == result.computed.size else f"{done} computed"


def _shape(result: Arrays) -> str:
    n, m = result.losses.shape
    return f"{n} × {m} points" if m > 1 else f"{n} points"


def _values(result: Arrays, name: str) -> str:
    """Smallest and largest value, and that at the center if it is on the grid."""
    array = result.array(name)
    finite, odd = array[np.isfinite(array)], int((result.computed & ~np.isfinite(array)).sum())
    at = (result.provenance.get("center") or {}).get("point")
    parts = [
        f"{finite.min():.4g} to {finite.max():.4g}" if len(finite) else "",
        f"{array[tuple(at)]:.4g} at the center" if at and np.isfinite(array[tuple(at)]) else "",
        _interval(result.provenance) if name == "losses" else "",
        f"{odd} NaN or infinite" if odd else "",
    ]
    return ", ".join(filter(None, parts))


def _interval(facts: Mapping[str, Any]) -> str:
    """The interval of the loss at the center, or why there is none that can be relied on."""
    found = (facts.get("center") or {}).get("interval")
    if not found:
        return ""
    if not found["reliable"]:
        return "which a few samples carry: too few for an interval"
    return f"95 % interval {found['low']:.4g} to {found['high']:.4g}"


def _loss(loss: Mapping[str, Any]) -> list[str]:
    name, unit, decay = loss.get("name", "cross_entropy"), loss.get("unit", "nats"), loss.get("weight_decay", 0)
    return [f"{name} in {unit}" if unit else name, f"weight decay {decay:g}" if decay else ""]


def _digest(what: str, sha256: Any) -> str:
    return f"{what} {sha256[:12]}…" if sha256 else ""


def _how(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())
    engine = (facts.get("engine") or {}).get("engine", "")
    where = " ".join(
        filter(None, [facts["precision"], f"by the {engine} engine" if engine else "", f"on {facts.get('device', '')}"])
    )
    took = f"in {facts['seconds']:.3g} s" if "seconds" in facts else ""
    return ", ".join(filter(None, [f"{where} {took}".strip(), versions]))
