"""Results as one self-contained HTML file: plotly.js is embedded, and the page makes no request."""

from ..plots.figures import figure
from ..plots.html_page import page_with_figure
from ..results.arrays import Arrays
from .picture import PictureOptions


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """The figure described by `picture`, with caption, self-check and provenance below.

    Raises:
        UnknownNameError: the height or the array is not known.
    """
    return page_with_figure(figure(result, height=picture.height, array=picture.array), [result]).encode()
