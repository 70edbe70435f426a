"""Errors that a user can cause, each with a stable code; every message says what to do.

The shell and the service decide how an error is shown.
"""


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
    """An unknown name; the message lists the known ones."""

    code = "unknown_name"

    def __init__(self, what: str, name: object, known: "list[str] | tuple[str, ...]"):
        super().__init__(f"Unknown {what} {name!r}. Known: {', '.join(known)}.")


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
