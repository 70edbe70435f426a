"""A progress bar: rich's in a terminal, an HTML one in a notebook, none if the output goes to a file.

rich and IPython are optional: they are imported when a bar is shown.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from ..terminal import printable

Progress = Callable[[int, int], None]  # (points done, points in total)


class Report:
    """Reports progress: call it with the points done and in total."""

    def __init__(self, title: str, show: Callable[[str, int, int], None], *, points_only: bool = False):
        self._title, self._show, self._points_only = title, show, points_only

    def __call__(self, done: int, total: int) -> None:
        """Report points done and in total."""
        self._show(self._title, done, total)

    def preparing(self, what: str, done: int, total: int) -> None:
        """Report what is done before there are points; a caller's own function is not told, which counts points."""
        if not self._points_only:
            self._show(f"{self._title}, {what}", done, total)


@contextmanager
def reporting(progress: "bool | Progress", title: str) -> Iterator[Report]:
    """The function that reports progress: the caller's own, a progress bar's, or one that does nothing.

    Args:
        progress: True for a bar in a terminal or a notebook, False for none, or a function.
    """
    if callable(progress):
        yield Report(title, lambda _, done, total: progress(done, total), points_only=True)
    elif progress and _in_notebook():
        yield Report(title, _notebook_bar(title))
    elif progress and sys.stderr.isatty():
        with _terminal_bar(title) as show:
            yield Report(title, show)
    else:
        yield Report(title, lambda *_: None)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running: Any = shell.get_ipython() if shell else None
    return running is not None and hasattr(running, "kernel")


def _notebook_bar(title: str) -> Callable[[str, int, int], None]:
    """An HTML element that is updated in place; it needs no widgets and stays in the saved notebook."""
    from IPython.display import HTML, display

    handle = display(HTML(_bar(title, 0, 1)), display_id=True)  # type: ignore[no-untyped-call]
    return lambda title, done, total: handle.update(HTML(_bar(title, done, total)))  # type: ignore[no-untyped-call]


def _bar(title: str, done: int, total: int) -> str:
    return f'<label>{escape(title)} <progress value="{done}" max="{max(1, total)}"></progress> {done}/{total}</label>'


@contextmanager
def _terminal_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ModuleNotFoundError:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(title), total=None)
        yield lambda title, done, total: bar.update(
            task, description=printable(title), completed=done, total=total or None
        )
