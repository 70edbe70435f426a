"""Options for pictures of a result."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureOptions:
    """What a picture shows. Numeric files hold everything and take no such options."""

    height: str = "auto"  # or one of plots.heights.HEIGHTS
    array: str = "losses"  # one of the result's columns
