"""Small tables with a mark in front of each row, as text and as HTML for notebooks."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

PASSED, FAILED = "#2a8a4f", "#d93a3a"  # at least 3 to 1 against a white and against a black notebook


class Row(NamedTuple):
    """A row; `passed` is None for the titles."""

    passed: bool | None
    cells: tuple[str, ...]

    @property
    def mark(self) -> str:
        """✓, ✗, or nothing before titles."""
        return "" if self.passed is None else "✓" if self.passed else "✗"


def text_table(rows: Sequence[Row]) -> str:
    """Lines with aligned columns."""
    cells = [(row.mark, *row.cells) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def html_table(rows: Sequence[Row]) -> str:
    """A table in the colors of the notebook; only the marks have their own."""
    lines = []
    for row in rows:
        tag = "th" if row.passed is None else "td"
        color = f' style="color:{PASSED if row.passed else FAILED}"' if row.mark else ""
        cells = "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in row.cells)
        lines.append(f"<tr><{tag}{color}>{row.mark}</{tag}>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"
