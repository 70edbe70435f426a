"""Finds the state dict in a saved file: wrappers, averaged copies, prefixes, and the facts stored beside it.

Only exact dictionaries with text keys are searched, at most two levels deep.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import CheckpointError
from ..parsers.source import printable
from ..parsers.tensors import StoredTensor

State = dict[str, StoredTensor]

AVERAGE = "@average/"  # the running average of the weights; also its prefix in sanitized files
MAX_TENSORS = 10_000

# Keys under which people store the state, and its running average.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module", "shadow")
AVERAGES = (
    "state_dict_ema",
    "model_ema",
    "model_ema_state_dict",
    "ema_state_dict",
    "ema_model_state_dict",
    "ema_model",
    "params_ema",
    "ema",
    "swa_state_dict",
    "averaged_model",
)
PREFIXES = ("module.", "_orig_mod.", "model.")  # added by DataParallel, torch.compile and Lightning
_AVERAGE_PREFIXES = ("ema_model.", "model_ema.", "ema.", "averaged_model.", "swa_model.")  # within one state dict
_COUNTS = ("n_averaged", "num_updates", "decay")  # counters that averaging stores beside the weights

_FACTS = (
    "architecture",
    "arch",
    "dataset",
    "epoch",
    "seed",
    "train_loss",
    "train_error",
    "test_error",
    "acc",
    "accuracy",
    "test_acc",
    "val_acc",
    "acc1",
    "best_acc",
    "best_acc1",
    "best_prec1",
)


def copies_in(content: Mapping[Any, Any]) -> dict[str, State]:
    """The weights as trained under "" and their running average under `AVERAGE`, as far as present, by bare name.

    Raises:
        CheckpointError: an entry is not a tensor, or stripping prefixes makes two names one.
    """
    found: dict[str, Mapping[Any, Any]] = {}
    for copy, keys in (("", WRAPPERS), (AVERAGE, AVERAGES)):
        inner = _first(content, keys)
        if inner is not None:
            found[copy] = _first(inner, (*WRAPPERS, *AVERAGES)) or inner
    states = {copy: _state(inner) for copy, inner in (found or {"": content}).items()}
    if set(states) == {""}:
        states = _apart(states[""])
    return {copy: bare_names(state) for copy, state in states.items()}


def _first(content: Mapping[Any, Any], keys: tuple[str, ...]) -> dict[Any, Any] | None:
    """The first non-empty dictionary under one of `keys`."""
    return next((content[key] for key in keys if type(content.get(key)) is dict and content[key]), None)


def _state(content: Mapping[Any, Any]) -> State:
    if not content:
        raise CheckpointError("The checkpoint holds no parameters. Save the model's state_dict().")
    if len(content) > MAX_TENSORS:
        raise CheckpointError(f"The file holds {len(content)} tensors; at most {MAX_TENSORS} are read.")
    for name, value in content.items():
        if type(name) is not str or (type(value) is not StoredTensor and name not in _COUNTS):
            kind = "dictionary" if type(value) is dict else type(value).__name__
            raise CheckpointError(
                f"Entry {printable(str(name))!r} is a {kind}, not a tensor. Save what model.state_dict() returns."
            )
        if name.startswith("@"):
            raise CheckpointError(f"The name {printable(name)!r} begins with @, which is kept for our own use.")
    return {name: value for name, value in content.items() if name not in _COUNTS}


def _apart(state: State) -> dict[str, State]:
    """A state dict split into the weights and the averaged copy that it holds under a prefix."""
    for prefix in _AVERAGE_PREFIXES:
        averaged = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        trained = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
        if averaged and trained:
            return {"": trained, AVERAGE: averaged}
    return {"": state}


def bare_names(state: State) -> State:
    """Names without the prefixes that wrappers add, and without a first part that all names share.

    Raises:
        CheckpointError: some names have a prefix, and removing it makes two names equal.
    """
    names = list(state)
    while prefix := _shared_prefix(names):
        names = [name.removeprefix(prefix) for name in names]
    for prefix in PREFIXES:
        twice = {name for name in names if name.startswith(prefix)} and _twice(names, prefix)
        if twice:
            raise CheckpointError(
                f"The parameter {printable(twice)!r} is there twice, with and without the prefix {prefix!r}. Save one."
            )
    return dict(zip(names, state.values(), strict=True))


def _shared_prefix(names: list[str]) -> str | None:
    known = next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)
    if known or not names:
        return known
    first = names[0].split(".")[0] + "."
    deep = all(name.startswith(first) and "." in name.removeprefix(first) for name in names)
    return first if deep and first != "." and len(names) > 1 else None


def _twice(names: list[str], prefix: str) -> str | None:
    bare = [name.removeprefix(prefix) for name in names]
    there = set(names)
    return next((name for name, full in zip(bare, names, strict=True) if name != full and name in there), None)


def facts_in(content: Mapping[Any, Any], metadata: Mapping[str, str]) -> dict[str, str]:
    """What the file records, for users and `recorded_accuracy`: texts and single numbers under known keys."""
    around = {key: value for key, value in content.items() if key in _FACTS} | dict(metadata)
    return dict(_facts(around))


def _facts(around: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _FACTS:
        value = around.get(key)
        if type(value) is StoredTensor and value.elements == 1 and value.floating:
            value = float(value.array().reshape(()))
        if type(value) in (str, int, float, bool):
            yield key, printable(str(value), 2000 if key == "architecture" else 300)


def recorded_accuracy(facts: Mapping[str, str]) -> tuple[str, float] | None:
    """The key and the accuracy, 0 to 1, that a file records for its network; None if it records none.

    Numbers over 1 are taken as percent (our choice: exactly 1 means 100 %).

    >>> recorded_accuracy({"epoch": "200", "test_error": "6.5"})
    ('test_error', 0.935)
    """
    for key in _FACTS:
        if not ("acc" in key or "prec1" in key or key == "test_error") or key not in facts:
            continue
        try:
            value = float(facts[key])
        except ValueError:
            continue
        value = value / 100 if value > 1 else value
        if 0 <= value <= 1:
            return key, 1 - value if key == "test_error" else value
    return None


def mismatch(facts: Mapping[str, str], accuracy: float | None, split: str) -> str | None:
    """A warning if a network's accuracy is far below the one recorded in its file; else None.

    "Far" is 15 percentage points (our choice): training and test accuracy usually differ by less.
    """
    recorded = recorded_accuracy(facts)
    if recorded is None or accuracy is None or recorded[1] - accuracy < 0.15:
        return None
    return (
        f"This checkpoint says {recorded[1]:.0%} ({recorded[0]}), here it scores {accuracy:.0%} on the {split} split: "
        "wrong normalization or classes?"
    )
