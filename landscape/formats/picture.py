"""What a picture of a result shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PictureOptions:
    """What a picture shows; files of numbers hold everything and take none of it."""

    height: str = "paper"  # one of plots.heights.HEIGHTS
    array: str = "losses"  # one of the result's columns
