"""Errors that a user can cause, each with a stable code; every message says what to do.

The shell and the service decide how an error is shown.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.7  # of difflib's ratio: finds swapped and missing letters, not another word with some letters in common


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """ " Did you mean 'filter'?" for 'fliter', to be appended to a message; empty if no known name is near.

    Case is ignored. Names with other digits are other things and not misspelt: 'float16' is not 'float64'.
    """
    given = str(name)[:100]  # it may be a stranger's, and of any length
    folded = {one.casefold(): one for one in known if re.findall(r"\d+", one) == re.findall(r"\d+", given)}
    near = get_close_matches(given.casefold(), folded, n=1, cutoff=_ALIKE)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of the message of an error, at most so many characters; the name of its type without a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:most]


class LandscapeError(Exception):
    """A request that cannot be fulfilled, for a reason that the user can fix."""

    code = "landscape_error"


class GridError(LandscapeError):
    """A grid that is not possible: empty, reversed, not finite or too large."""

    code = "bad_grid"


class ShapeMismatchError(LandscapeError):
    """Names or shapes of two sets of parameters differ."""

    code = "shape_mismatch"


class UnknownNameError(LandscapeError):
    """An unknown name; the message lists the known ones, and says which is near."""

    code = "unknown_name"

    def __init__(self, what: str, name: object, known: "list[str] | tuple[str, ...]"):
        super().__init__(f"Unknown {what} {name!r}. Known: {', '.join(known)}.{did_you_mean(name, known)}")


class UnknownOptionError(LandscapeError, TypeError):
    """A function was called with a keyword that it does not have; also a TypeError, as Python raises by itself."""

    code = "unknown_option"

    def __init__(self, function: str, option: str, known: "list[str] | tuple[str, ...]"):
        near, taken = did_you_mean(option, known), ", ".join(known) or "nothing"
        super().__init__(f"{function}() has no option {option!r}.{near} It takes: {taken}.")


class CheckpointError(LandscapeError):
    """A checkpoint that cannot be read or used."""

    code = "bad_checkpoint"


class UnknownNetworkError(CheckpointError):
    """Parameters that match none of the known networks."""

    code = "unknown_network"


class DataError(LandscapeError):
    """Data that cannot be read, or do not match the network."""

    code = "bad_data"


class NotFiniteError(LandscapeError):
    """A parameter or direction holds NaN or infinity."""

    code = "not_finite"


class PlaneError(LandscapeError):
    """Directions or checkpoints that span no line or plane: equal, collinear, zero or too few."""

    code = "bad_plane"


class CurvatureError(LandscapeError):
    """A curvature that cannot be computed: not finite, or no parameters to differentiate with respect to."""

    code = "bad_curvature"


class MemoryExhaustedError(LandscapeError):
    """Not enough memory, even for the smallest batch."""

    code = "out_of_memory"


class FormatError(LandscapeError):
    """A file of results or directions that cannot be read."""

    code = "bad_file"


class MissingLibraryError(LandscapeError):
    """An optional library that is needed but not installed."""

    code = "missing_library"

    def __init__(self, what: str, library: str, extra: str = ""):
        package = f"'loss-atlas[{extra}]'" if extra else library
        super().__init__(f"{what} need the library {library!r}, which is not installed. Run: pip install {package}")
