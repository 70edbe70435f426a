"""Results as one HTML file that needs nothing else: plotly.js is inside, and nothing leaves the reader's machine."""

from ..plots.figures import figure
from ..plots.html_page import of_figure
from ..results.arrays import Arrays
from .look import Look


def write(result: Arrays, ending: str, look: Look) -> bytes:
    """The figure of `look` with caption, self-check and provenance under it."""
    return of_figure(figure(result, height=look.height, array=look.array), [result]).encode()
