"""Loads the native module through ctypes, and declares its structures and functions; computes nothing itself.

It is optional, built with the package if there is a C++ compiler (setup.py): without it `library()` is None, and
everything works, only slower.
"""

import ctypes
import importlib.machinery
import logging
from functools import cache
from pathlib import Path

VERSION = 8  # version of the structures shared with lanes.cpp
INSTRUCTION_SETS = ("avx512", "avx2", "portable")

logger = logging.getLogger(__name__)

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


class Run(ctypes.Structure):
    """The arguments of `lanes_run`, field by field as in lanes.cpp."""

    _fields_ = (
        ("program", _POINTER),
        ("stretches", _POINTER),
        ("stretch_count", _LONG),
        ("weights", _POINTER),
        ("tables", _POINTER),
        ("images", _POINTER),
        ("count", _LONG),
        ("numbers", _LONG),
        ("input", _LONG),
        ("outer_block", _LONG),
        ("workspace", _POINTER),
        ("outer", _POINTER),
        ("outputs", _POINTER),
        ("scores", _LONG),
        ("output", _LONG),
        ("statistics", _POINTER),
    )


class Winograd(ctypes.Structure):
    """The arguments of `winograd_run`, field by field as in lanes.cpp."""

    _fields_ = (
        *((name, _POINTER) for name in ("input", "weights", "bias", "other", "output")),
        *((name, _LONG) for name in ("images", "height", "width", "channels", "filters")),
        *((name, _LONG) for name in ("out_height", "out_width", "padding", "relu")),
    )


class BatchNorm(ctypes.Structure):
    """How `batch_norm_convolution` and `batch_norm_apply` normalize, field by field as in lanes.cpp."""

    _fields_ = (
        *((name, _POINTER) for name in ("raw", "mean", "scale", "shift", "other", "kept")),
        ("relu", _LONG),
    )


class ChainValue(ctypes.Structure):
    """A value of `chain_run`, field by field as in lanes.cpp."""

    _fields_ = (("all", _POINTER), ("numbers", _LONG), ("start", _LONG))


class ChainLayer(ctypes.Structure):
    """A convolution of `chain_run`, field by field as in lanes.cpp."""

    _fields_ = (*((name, _LONG) for name in ("input", "other", "output", "size", "stride")), ("at", Winograd))


class Chain(ctypes.Structure):
    """The arguments of `chain_run`, field by field as in lanes.cpp."""

    _fields_ = (
        *((name, _POINTER) for name in ("layers", "values")),
        *((name, _LONG) for name in ("layer_count", "group", "images", "workspace")),
    )


class Perceptron(ctypes.Structure):
    """The arguments of `perceptron_run`, field by field as in lanes.cpp."""

    _fields_ = (
        *((name, _POINTER) for name in ("numbers", "weights", "coefficients", "layers")),
        *((name, _LONG) for name in ("layer_count", "terms", "samples", "scores", "points", "count", "weight_stride")),
        ("outputs", _POINTER),
    )


class AmxLayer(ctypes.Structure):
    """A convolution of `amx_run`, field by field as in lanes.cpp."""

    _fields_ = tuple(
        (name, _LONG)
        for name in (
            *("input", "output", "other", "input_group", "output_group", "rows", "tiles", "row", "position"),
            *("out_row", "out_position", "out_first", "out_second"),
            *("steps", "offsets", "weights", "bias", "blocks", "relu"),
        )
    )


class AmxCopy(ctypes.Structure):
    """An image into or out of the workspace of `amx_run`, field by field as in lanes.cpp."""

    _fields_ = (
        ("external", _POINTER),
        *((name, _LONG) for name in ("start", "group", "image", "channels", "height", "width")),
        *((name, _LONG) for name in ("row", "pixel", "odd", "halved")),
    )


class Amx(ctypes.Structure):
    """The arguments of `amx_run`, field by field as in lanes.cpp."""

    _fields_ = (
        *((name, _POINTER) for name in ("layers", "offsets", "weights", "bias", "in_", "out")),
        *((name, _LONG) for name in ("layer_count", "in_count", "out_count", "group", "groups", "images", "workspace")),
    )


@cache
def library() -> ctypes.CDLL | None:
    """The loaded native module; None, logged once, if it was not built or does not match."""
    found = _load()
    if found is None:
        logger.warning("The native module is not built: narrow networks take several times as long. See setup.py.")
    return found


def _load() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_lanes{suffix}")
        if path.exists():
            try:
                loaded = _described(ctypes.CDLL(str(path)))
            except (OSError, AttributeError):  # built for another machine, or from other sources
                return None
            return loaded if loaded.lanes_version() == VERSION else None
    return None


def _described(loaded: ctypes.CDLL) -> ctypes.CDLL:
    loaded.lanes_version.argtypes, loaded.lanes_version.restype = [], _INT
    loaded.lanes_width.argtypes, loaded.lanes_width.restype = [ctypes.c_char_p], _INT
    loaded.lanes_filters.argtypes, loaded.lanes_filters.restype = [_INT], _INT
    loaded.lanes_weights.argtypes = [_INT, _POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER]
    loaded.lanes_weights.restype = None
    loaded.lanes_run.argtypes, loaded.lanes_run.restype = [_INT, ctypes.POINTER(Run)], None
    loaded.winograd_weights.argtypes = [_INT, _POINTER, _LONG, _LONG, _POINTER]
    loaded.winograd_weights.restype = None
    loaded.winograd_run.argtypes, loaded.winograd_run.restype = [_INT, ctypes.POINTER(Winograd), _INT], _INT
    loaded.chain_run.argtypes, loaded.chain_run.restype = [_INT, ctypes.POINTER(Chain), _INT], _INT
    loaded.amx_available.argtypes, loaded.amx_available.restype = [], _INT
    loaded.amx_run.argtypes, loaded.amx_run.restype = [ctypes.POINTER(Amx), _INT], _INT
    loaded.batch_norm_convolution.restype = loaded.batch_norm_gather.restype = loaded.batch_norm_apply.restype = _INT
    loaded.batch_norm_convolution.argtypes = [
        *(_INT, ctypes.POINTER(Winograd), _LONG, _LONG, ctypes.POINTER(BatchNorm), _POINTER, _INT)
    ]
    loaded.batch_norm_gather.argtypes = [_INT, _POINTER, _LONG, _LONG, _POINTER, _INT]
    loaded.batch_norm_apply.argtypes = [_INT, ctypes.POINTER(BatchNorm), _LONG, _LONG, _INT]
    loaded.batch_norm_coefficients.argtypes = [_POINTER, _LONG, _LONG, ctypes.c_double, _POINTER, _POINTER, _POINTER]
    loaded.batch_norm_coefficients.restype = None
    loaded.perceptron_rows.argtypes, loaded.perceptron_rows.restype = [_INT], _INT
    loaded.perceptron_run.argtypes, loaded.perceptron_run.restype = [_INT, ctypes.POINTER(Perceptron)], _INT
    return loaded


@cache
def best_instruction_set() -> str | None:
    """The widest instruction set that this machine and the native module share, None without the module."""
    loaded = library()
    return None if loaded is None else next(name for name in INSTRUCTION_SETS if width(name))


def width(instruction_set: str) -> int:
    """Lanes of the instruction set, 0 if this machine or this build lacks it."""
    loaded = library()
    return 0 if loaded is None else int(loaded.lanes_width(instruction_set.encode()))


@cache
def has_amx() -> bool:
    """Whether the native module can use AMX in this process."""
    loaded = library()
    return loaded is not None and bool(loaded.amx_available())


def instruction_sets() -> list[str]:
    """The supported instruction sets of this machine, or the reason why there is none."""
    return [name for name in INSTRUCTION_SETS if width(name)] or ["none: no native module"]
