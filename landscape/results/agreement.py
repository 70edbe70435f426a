"""Whether two results agree: in inputs, settings and environment, and in every value, bit for bit or by how much.

The same request on the same kind of machine with the same versions gives the same bits. Elsewhere rounding differs, and
only that: deviation.py states how far it may carry each value.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .arrays import Arrays, finite_or_none
from .content import content_digest
from .deviation import Deviation, deviations, same_coordinates
from .tables import Row, html_table, text_table

# Entries of the provenance, in words.
INPUTS = {"weights_sha256": "weights", "data_sha256": "data"}
SETTINGS = {
    "also": "further data",
    "seed": "seed",
    "normalization": "normalization",
    "directions": "directions",
    "landmarks": "checkpoints",
    "loss": "loss",
    "batch_norm": "BatchNorm policy",
    "calibration_samples": "calibration",
    "precision": "precision",
    "curvature": "curvature",
    "repeated": "repeats",
}
ENVIRONMENT = {"engine": "engine", "device": "device", "threads": "threads"}
MEASURED = ("product_error", "cosine_max")  # computed numbers among the settings


@dataclass(frozen=True)
class Fact:
    """One fact about both results, as recorded in their provenance."""

    part: str  # "inputs", "settings" or "environment"
    name: str
    same: bool
    first: Any
    second: Any


@dataclass(frozen=True)
class Agreement:
    """Whether two results agree, and in what they differ; `print` and notebooks show a table."""

    facts: tuple[Fact, ...]
    deviations: tuple[Deviation, ...]  # empty if the grids or the names of the arrays differ

    @property
    def bitwise(self) -> bool:
        """Whether all values are equal, bit for bit, and their coordinates too."""
        return bool(self.deviations) and all(one.bitwise for one in self.deviations)

    @property
    def same_request(self) -> bool:
        """Whether inputs and settings are the same."""
        return not self._differing("inputs", "settings")

    @property
    def same_environment(self) -> bool:
        """Whether device, versions and the engine's choice are the same: then every bit has to be."""
        return not self._differing("environment")

    @property
    def same(self) -> bool:
        """Whether it is the same result: of the same request, bit for bit; elsewhere computed, up to rounding."""
        return self.same_request and (self.bitwise or (self._by_rounding and not self.same_environment))

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        asked, where = self._differing("inputs", "settings"), self._differing("environment")
        if asked:
            return f"These are results of different requests: they differ in {', '.join(asked)}."
        if self.bitwise:
            return "They agree bit for bit."
        wide = [one.name for one in self.deviations if not one.by_rounding]
        if wide:
            return f"They differ by more than rounding in {', '.join(wide)}."
        if not where:
            return "They differ by no more than rounding, but in the same environment every bit should be equal."
        return f"They agree up to rounding; the environments differ in {', '.join(where)}."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; null for numbers that are not finite."""
        rows = [{**vars(one), "bitwise": one.bitwise, "by_rounding": one.by_rounding} for one in self.deviations]
        return {
            "same": self.same,
            "bitwise": self.bitwise,
            "verdict": self.verdict,
            "facts": [dict(vars(fact)) for fact in self.facts],
            "arrays": [{name: _plain(value) for name, value in row.items()} for row in rows],
        }

    def __str__(self) -> str:
        return "\n\n".join([self.verdict, *(text_table(rows) for rows in self._tables())])

    def _repr_html_(self) -> str:
        return f"<p>{self.verdict}</p>" + "".join(html_table(rows) for rows in self._tables())

    @property
    def _by_rounding(self) -> bool:
        return bool(self.deviations) and all(one.by_rounding for one in self.deviations)

    def _differing(self, *parts: str) -> list[str]:
        return [fact.name for fact in self.facts if fact.part in parts and not fact.same]

    def _tables(self) -> Iterator[list[Row]]:
        head = Row(None, ("", "first", "second"))
        facts = [(fact, _words(fact.first), _words(fact.second)) for fact in self.facts]
        yield [head, *(Row(fact.same, (fact.name, one, "same" if one == two else two)) for fact, one, two in facts)]
        if self.deviations:
            titles = ("", "numbers", "differing", "largest difference", "relative", "standard errors", "of the bound")
            yield [Row(None, titles), *map(_row, self.deviations)]


def agreement(first: Arrays, second: Arrays) -> Agreement:
    """Whether `second` is the same result as `first`, which may have been interrupted: at all points that it has."""
    facts = (*_request(first, second), *_facts(first.provenance, second.provenance))
    comparable = same_coordinates(first, second) and first.columns == second.columns
    return Agreement(facts, tuple(deviations(first, second)) if comparable else ())


def _request(first: Arrays, second: Arrays) -> Iterator[Fact]:
    """Kind, grid and arrays; and the computed points, of which the second result must have all that the first has."""
    yield Fact("settings", "kind", first.kind == second.kind, first.kind, second.kind)
    same_grid = same_coordinates(first, second)
    yield Fact("settings", "grid", same_grid, _grid(first), _grid(second))
    yield Fact("settings", "arrays", first.columns == second.columns, list(first.columns), list(second.columns))
    if same_grid:
        done, other = int(first.computed.sum()), int(second.computed.sum())
        common = int((first.computed & second.computed).sum())
        yield Fact("settings", "computed points", common == done > 0, done, other)


def _facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Fact]:
    """The facts that both provenances record; an input that only one records is not known to be the same."""
    for part, names in (("inputs", INPUTS), ("settings", SETTINGS), ("environment", ENVIRONMENT)):
        for key, name in names.items():
            recorded = (key in first) + (key in second)
            if recorded == 2 or (recorded and part == "inputs"):
                one, other = first.get(key), second.get(key)
                yield Fact(part, name, recorded == 2 and alike(one, other), one, other)
    parts = [_in_parts(one) for one in (first, second)]
    if any(parts):
        yield Fact("environment", "reused points", alike(*parts), *parts)
    versions, others = first.get("versions") or {}, second.get("versions") or {}
    for name in versions:
        if name in others:
            same = versions[name] == others[name]
            yield Fact("environment", f"version of {name}", same, versions[name], others[name])


def _in_parts(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a result reuses of an earlier one, if its values may therefore differ by rounding from those at once."""
    reused = facts.get("reused")
    return reused if reused and not reused.get("exact", True) else None


def alike(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, numbers up to rounding in float64."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = (one.keys() | other.keys()) - set(MEASURED)
        return all(name in one and name in other and alike(one[name], other[name]) for name in names)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return content_digest(one) == content_digest(other)


def _grid(result: Arrays) -> str:
    axes = [one for one in (result.alphas, result.betas) if len(one) > 1]
    return " × ".join(f"{len(one)} points on [{one[0]:.6g}, {one[-1]:.6g}]" for one in axes)


def _row(one: Deviation) -> Row:
    apart = (
        ("bit for bit", "", "", "")
        if one.bitwise
        else (
            f"{one.absolute:.2e}",
            f"{one.relative:.2e}",
            "" if one.standard_errors is None else f"{one.standard_errors:.2e}",
            "no bound" if one.bound_used is None else f"{100 * one.bound_used:.3g} %",
        )
    )
    return Row(one.by_rounding, (one.name, str(one.count), str(one.differing), *apart))


def _words(value: Any) -> str:
    """A fact in a cell of the table."""
    if isinstance(value, Mapping):
        value = [f"{name} {_words(one)}" for name, one in value.items()]
    text = ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)
    return "none" if text in ("", "None") else text if len(text) <= 60 else f"{text[:59]}…"


def _plain(value: Any) -> Any:
    return finite_or_none(value) if isinstance(value, float) else value
