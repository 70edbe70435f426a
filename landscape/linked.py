"""A comparison as a notebook shows it: the page that would be saved, in a frame, so that turning one surface turns all.

Imports plotly, figures' page and the standard library. A frame with its page inside works alike in classic Jupyter,
JupyterLab and VS Code, needs no widget and no network; each holds plotly.js (5 MB). Never computes a loss.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from plotly.graph_objects import Figure

from .formats.page import of_figure
from .result import Result

WORDS = 80  # pixels under the figure, of the words that begin there; the frame scrolls


class Comparison(Figure):  # type: ignore[misc]  # plotly has no types
    """Several results as a Plotly figure that links its cameras where a notebook shows it; `show()` is Plotly's own."""

    _results: Sequence[Result] = ()
    _ipython_display_ = None  # Plotly's would come before what follows

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, Any]:
        page = escape(of_figure(self, self._results))
        frame = f'style="width: 100%; height: {self.layout.height + WORDS}px; border: 0" srcdoc="{page}"'
        title = f"{len(self._results)} loss landscapes"
        return {"text/plain": f"<{title}>", "text/html": f'<iframe title="{title}" {frame}></iframe>'}
