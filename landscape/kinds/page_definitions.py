"""The definitions that the page reads, as a JavaScript module; generate.py writes it."""

import json
from typing import Any

from ..grid import AROUND
from ..options import SEEDS, SUBSET, Bounds, Option
from . import KINDS
from .definition import AXIS_COUNT, AXIS_ENDS, MAX_CHECKPOINTS, MAX_FACTOR, MAX_POINTS, Kind
from .formatting import javascript
from .prepare import grid_as_json


def text(note: str) -> str:
    """The text of frontend/js/kinds.js: definitions without words, limits, and the English words.

    Args:
        note: how it is made, for people who open it.
    """
    definitions = {kind.name: _definition(kind) for kind in KINDS.values()}
    return javascript(
        f"/**\n * What each kind of job takes.\n *\n * {note}\n */\n\n"
        '/** @import { Definition, Limits } from "./types.d.ts" */\n\n'
        f"export const KINDS = /** @satisfies {{Record<string, Definition>}} */ ({_json(definitions)});\n\n"
        f"/** @type {{Limits}} */\nexport const LIMITS = {_json(_limits())};\n\n"
        "/** What the page says about them, in English. */\n"
        f"export const WORDS = {_json(_words())};\n"
    )


def _definition(kind: Kind) -> dict[str, Any]:
    return {
        "axes": kind.axes[0],
        "grid": _grid_numbers(kind),
        "roles": [{"name": role.name, "many": role.many, "least": role.least} for role in kind.roles],
        "options": {option.name: _option(option) for option in kind.job_options},
        "excludes": [{"option": one.option, "others": list(one.others)} for one in kind.excludes],
        "columns": [column.name for column in kind.columns],
    }


def _grid_numbers(kind: Kind) -> dict[str, Any] | None:
    return grid_as_json(kind.grid) if kind.grid else None


def _option(option: Option) -> dict[str, Any]:
    default = option.default
    return {
        "type": option.job_type.removesuffix(" | None"),
        "default": list(default) if isinstance(default, tuple) else default,
        **({"choices": list(option.choices)} if option.choices else {}),
        **({} if option.shell else {"shell": False}),
        **_bounds(option.job_bounds or option.bounds),
    }


def _bounds(bounds: Bounds) -> dict[str, float]:
    """The bounds that there are; JavaScript does not hold the upper bound of seeds."""
    found = {
        "least": bounds.least,
        "most": bounds.most,
        "below": None if bounds.below == SEEDS else bounds.below,
        "longest": bounds.longest,
    }
    return {name: value for name, value in found.items() if value is not None}


def _limits() -> dict[str, Any]:
    """The limits of what is no option: the grid, lists of checkpoints, the subset."""
    return {
        "points": MAX_POINTS,
        "ends": _bounds(AXIS_ENDS),
        "count": _bounds(AXIS_COUNT),
        "around": AROUND,
        "checkpoints": MAX_CHECKPOINTS,
        "factor": MAX_FACTOR,
        "subset": {name: _bounds(bounds) for name, bounds in SUBSET.items()},
    }


def _words() -> dict[str, str]:
    """What the page says. An option or role that several kinds have is the same in all of them."""
    words: dict[str, str] = {}
    for kind in KINDS.values():
        words[f"kind.{kind.name}"] = kind.label
        words[f"kind.{kind.name}.summary"] = kind.summary
        words |= {f"role.{role.name}": role.title for role in kind.roles}
        words |= {f"exclusion.{kind.name}.{one.option}": one.text for one in kind.excludes}
        for option in kind.job_options:
            words[f"option.{option.name}"] = option.title
            words[f"option.{option.name}.help"] = option.job_help or option.help
    return {name: text.replace("`", "") for name, text in words.items()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
