"""A result in a notebook: a line of text, a small picture, caption and self-check; no script, no network.

The PNG is encoded here: it takes kilobytes, and needs no library.
"""

import base64
import struct
import zlib
from html import escape
from typing import Any

import numpy as np

from ..results.arrays import Array, Arrays
from ..results.summary import summary_line
from ..results.tables import FAILED, PASSED
from .heights import drawable, fitting, heights

MOST = 128  # points along an axis of the picture, at most
SIDE, LEFT, TOP = 300, 46, 8  # pixels: side of the picture, and margins to its left and above
LINE = "#2f86b8"  # visible on white and on black, as the colors of the marks
VIRIDIS = "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
_HOLE = 255  # index of the transparent color


def mime_bundle(result: Arrays) -> dict[str, Any]:
    """MIME type -> content, for IPython."""
    return {"text/plain": summary_line(result), "text/html": _html(result)}


def _html(result: Arrays) -> str:
    part = drawable(result)
    picture = _line(part) if len(part.betas) == 1 else _map(part)
    lines = "".join(
        f'<div><span style="color:{PASSED if check.passed else FAILED}">{"✓" if check.passed else "✗"}</span> '
        f"{escape(check.name)}: {escape(check.text)}</div>"
        for check in result.checks
    )
    return (
        f'<div style="display:flex;gap:1.5em;flex-wrap:wrap">{picture}<div style="max-width:36em;font-size:90%">'
        f"<p>{escape(result.caption or summary_line(result))}</p>{lines}</div></div>"
    )


def _map(result: Arrays) -> str:
    """Heights as colors, with the path of a trajectory."""
    z, alphas, betas = heights(result.losses, fitting([result])), result.alphas, result.betas
    image = base64.b64encode(_png(z)).decode()
    body = (
        f'<image x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{image}"/>'
    )
    if result.path:
        x, y = np.array(result.path["coordinates"], dtype=float).T
        body += _polyline(x, y, alphas, betas, "#c62828")
    return _svg(body, "α", "β", alphas, betas)


def _line(result: Arrays) -> str:
    losses = result.losses[:, 0]
    finite = losses[np.isfinite(losses)]
    span = np.array([finite.min(), finite.max()] if len(finite) else [0.0, 1.0])
    kept = np.isfinite(losses)
    line = _polyline(result.alphas[kept], losses[kept], result.alphas, span, LINE)
    frame = f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>'
    return _svg(frame + line, "α", "loss", result.alphas, span)


def _svg(body: str, across: str, upwards: str, x: Array, y: Array) -> str:
    low = TOP + SIDE + 14
    texts = [
        (LEFT, low, "start", f"{x[0]:g}"),
        (LEFT + SIDE / 2, low, "middle", across),
        (LEFT + SIDE, low, "end", f"{x[-1]:g}"),
        (LEFT - 4, TOP + SIDE, "end", f"{y[0]:.3g}"),
        (LEFT - 4, TOP + SIDE / 2, "end", upwards),
        (LEFT - 4, TOP + 10, "end", f"{y[-1]:.3g}"),
    ]
    words = "".join(f'<text x="{a}" y="{b}" text-anchor="{anchor}">{text}</text>' for a, b, anchor, text in texts)
    style = 'style="font:11px sans-serif;fill:currentColor"'
    return f'<svg width="{LEFT + SIDE + 8}" height="{low + 6}" {style}>{body}{words}</svg>'


def _polyline(x: Array, y: Array, across: Array, upwards: Array, color: str) -> str:
    columns = LEFT + SIDE * (x - across[0]) / (float(np.ptp(across)) or 1.0)
    rows = TOP + SIDE * (1 - (y - upwards[0]) / (float(np.ptp(upwards)) or 1.0))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(columns, rows, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _png(z: Array) -> bytes:
    """(n, m) indexed [alpha, beta] as a picture with α to the right and β upwards; holes are transparent."""
    shown = z[:: max(1, -(-z.shape[0] // MOST)), :: max(1, -(-z.shape[1] // MOST))].T[::-1]
    finite = shown[np.isfinite(shown)]
    low, extent = (float(finite.min()), float(np.ptp(finite)) or 1.0) if len(finite) else (0.0, 1.0)
    colors = np.where(np.isfinite(shown), np.nan_to_num((shown - low) / extent) * (_HOLE - 1), _HOLE).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in colors)
    head = struct.pack(">IIBBBBB", shown.shape[1], shown.shape[0], 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", _palette()), (b"tRNS", b"\xff" * _HOLE + b"\0"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(*part) for part in (*parts, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _palette() -> bytes:
    anchors = np.array([list(bytes.fromhex(color)) for color in VIRIDIS.split()], dtype=float)
    at = np.linspace(0, len(anchors) - 1, _HOLE)
    colors = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.stack(colors, axis=1).round().astype(np.uint8).tobytes() + b"\0\0\0"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
