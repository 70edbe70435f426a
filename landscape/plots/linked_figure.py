"""A comparison as a notebook shows it: the page that would be saved, in a frame, so that turning one surface turns all.

Imports plotly, the page of formats/ and the standard library. A frame with its page inside works in JupyterLab and in
classic Jupyter (both tried) and wherever folium's maps do, as in VS Code: no widget, no network, 5 MB each.
Never computes a loss.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from plotly.graph_objects import Figure

from ..results.arrays import Arrays
from .html_page import page_with_figure

WORDS = 80  # pixels under the figure, of the words that begin there; the frame scrolls


class Comparison(Figure):  # type: ignore[misc]  # plotly has no types
    """Several results as a Plotly figure that links its cameras where a notebook shows it; `show()` is Plotly's own."""

    _results: Sequence[Arrays] = ()
    _ipython_display_ = None  # Plotly's would come before what follows

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, Any]:
        fitting = Figure(self).update_layout(width=None)  # as wide as the notebook
        page = escape(page_with_figure(fitting, self._results))
        frame = f'style="width: 100%; height: {self.layout.height + WORDS}px; border: 0" srcdoc="{page}"'
        title = f"{len(self._results)} loss landscapes"
        return {"text/plain": f"<{title}>", "text/html": f'<iframe title="{title}" {frame}></iframe>'}
