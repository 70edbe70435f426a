"""A figure as one self-contained HTML page: plotly.js is embedded, and the page makes no request.

Texts are escaped.
"""

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..results.arrays import Arrays
from .figures import MODEBAR

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# The toolbar of plotly.js 4 offers an upload to a cloud service: no button for it, and no server address.
CONFIG = {
    "displaylogo": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": MODEBAR["remove"],
    "responsive": True,
}

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem;color:#1c2024}figure{margin:0}"
    ".passed{color:#18794e}.failed{color:#c62828}ul{list-style:none;padding:0}td{padding-right:1.5rem;"
    "vertical-align:top;word-break:break-all}@media print{details{display:none}}"
)

# Rotating one picture of a comparison rotates all.
LINKED = (
    "p => p.on('plotly_relayout', change => {"
    " const moved = Object.keys(change).find(k => /^scene\\d*\\.camera$/.test(k));"
    " if (!moved || p.turning) return; p.turning = true; const all = {};"
    " for (const k of Object.keys(p.layout)) if (/^scene\\d*$/.test(k)) all[k + '.camera'] = change[moved];"
    " Plotly.relayout(p, all).then(() => { p.turning = false; }); })"
)


def page_with_figure(figure: "Figure", results: Sequence[Arrays]) -> str:
    """A page with `figure`, and the caption, self-check and provenance of the results it shows."""
    figure.update_layout(height=620 if figure.layout.height is None else figure.layout.height)
    drawn = _drawn(figure)
    title = escape(results[0].caption if len(results) == 1 else f"{len(results)} loss landscapes")
    words = "".join(_words(result) for result in results)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang='en'><head>{head}</head><body><figure>{drawn}</figure>{words}</body></html>"


def _drawn(figure: "Figure") -> str:
    """plotly.js and the call that draws. (`figure.to_html` would replace the empty server address by the cloud's.)"""
    from plotly.offline import get_plotlyjs

    content = json.loads(figure.to_json())
    parts = (json.dumps(part).replace("<", r"\u003c") for part in (content["data"], content["layout"], CONFIG))
    call = f"Plotly.newPlot('figure', {', '.join(parts)}).then({LINKED});"
    return f'<div id="figure"></div><script>{get_plotlyjs()}</script><script>{call}</script>'


def _words(result: Arrays) -> str:
    lines = "".join(
        f'<li class="{"passed" if check.passed else "failed"}">{"✓" if check.passed else "✗"} '
        f"{escape(check.name)}: {escape(check.text)}</li>"
        for check in result.checks
    )
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{_value(value)}</td></tr>" for name, value in result.provenance.items()
    )
    return (
        f"<section><p>{escape(result.caption)}</p><ul>{lines}</ul>"
        f"<details><summary>Where the numbers come from</summary><table>{rows}</table></details></section>"
    )


def _value(value: Any) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
