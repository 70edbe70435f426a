"""Errors a person can cause, each with a stable code; every message says what to do.

Imports nothing. Never decides how an error is shown: the shell and the service do that.
"""


class LandscapeError(Exception):
    """Something asked for cannot be done, for a reason the asker can mend."""

    code = "landscape_error"


class GridError(LandscapeError):
    """A grid that cannot be: empty, reversed, not finite or too large."""

    code = "bad_grid"


class ShapeMismatchError(LandscapeError):
    """Names or shapes of two sets of parameters differ."""

    code = "shape_mismatch"


class UnknownNameError(LandscapeError):
    """A name that is not among the known ones; the message lists those."""

    code = "unknown_name"

    def __init__(self, what: str, name: object, known: "list[str] | tuple[str, ...]"):
        super().__init__(f"Unknown {what} {name!r}. Known: {', '.join(known)}.")


class CheckpointError(LandscapeError):
    """A checkpoint that cannot be read or used."""

    code = "bad_checkpoint"


class UnknownNetworkError(CheckpointError):
    """Parameters that fit none of the known networks."""

    code = "unknown_network"


class DataError(LandscapeError):
    """A data set that cannot be read, or does not fit the network."""

    code = "bad_data"


class NotFiniteError(LandscapeError):
    """A parameter or direction holds NaN or infinity."""

    code = "not_finite"


class PlaneError(LandscapeError):
    """Directions or checkpoints that span no line or plane: equal, collinear, zero or too few."""

    code = "bad_plane"


class CurvatureError(LandscapeError):
    """A curvature that cannot be computed: not finite, or no parameters to differentiate by."""

    code = "bad_curvature"


class MemoryExhaustedError(LandscapeError):
    """Not enough memory, however small the batch."""

    code = "out_of_memory"


class FormatError(LandscapeError):
    """A file of results or directions that cannot be read."""

    code = "bad_file"


class MissingLibraryError(LandscapeError):
    """A library that is not installed, though what was asked for needs it."""

    code = "missing_library"

    def __init__(self, what: str, library: str, extra: str = ""):
        package = f"'loss-atlas[{extra}]'" if extra else library
        super().__init__(f"{what} need the library {library!r}, which is not installed. Run: pip install {package}")
