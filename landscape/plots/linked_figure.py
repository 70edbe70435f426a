"""A comparison in a notebook: its HTML page in an iframe, so that rotating one surface rotates all.

An iframe with an inline page works in JupyterLab and classic Jupyter (both tested), and, like folium's maps, in VS Code
and elsewhere: no widget, no network, 5 MB each.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from plotly.graph_objects import Figure

from ..results.arrays import Arrays
from .html_page import page_with_figure

WORDS = 80  # pixels below the figure for the first lines of text; the frame scrolls


class Comparison(Figure):  # type: ignore[misc]  # plotly has no types
    """Several results as a Plotly figure whose cameras are linked in a notebook; `show()` is Plotly's own."""

    _results: Sequence[Arrays] = ()
    _ipython_display_ = None  # Plotly's would take precedence over `_repr_mimebundle_`

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, Any]:
        resizable = Figure(self).update_layout(width=None)  # as wide as the notebook
        page = escape(page_with_figure(resizable, self._results))
        frame = f'style="width: 100%; height: {self.layout.height + WORDS}px; border: 0" srcdoc="{page}"'
        title = f"{len(self._results)} loss landscapes"
        return {"text/plain": f"<{title}>", "text/html": f'<iframe title="{title}" {frame}></iframe>'}
