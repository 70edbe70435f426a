"""Results as one HTML file that needs nothing else: plotly.js is inside, and nothing leaves the reader's machine."""

from ..plots.figures import figure
from ..plots.html_page import page_with_figure
from ..results.arrays import Arrays
from .picture import PictureOptions


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """The figure of `picture` with caption, self-check and provenance under it."""
    return page_with_figure(figure(result, height=picture.height, array=picture.array), [result]).encode()
