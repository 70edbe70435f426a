"""A progress bar: rich's in a terminal, an HTML one in a notebook, none if the output goes to a file.

rich and IPython are optional: they are imported when a bar is shown.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

Progress = Callable[[int, int], None]  # (points done, points in total)


@contextmanager
def reporting(progress: "bool | Progress", title: str) -> Iterator[Progress]:
    """The function that reports progress: the caller's own, a progress bar's, or one that does nothing.

    Args:
        progress: True for a bar in a terminal or a notebook, False for none, or a function.
    """
    if callable(progress):
        yield progress
    elif progress and _in_notebook():
        yield _notebook_bar(title)
    elif progress and sys.stderr.isatty():
        with _terminal_bar(title) as report:
            yield report
    else:
        yield lambda done, total: None


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    running: Any = shell.get_ipython() if shell else None
    return running is not None and hasattr(running, "kernel")


def _notebook_bar(title: str) -> Progress:
    """An HTML element that is updated in place; it needs no widgets and stays in the saved notebook."""
    from IPython.display import HTML, display

    handle = display(HTML(_bar(title, 0, 1)), display_id=True)  # type: ignore[no-untyped-call]
    return lambda done, total: handle.update(HTML(_bar(title, done, total)))  # type: ignore[no-untyped-call]


def _bar(title: str, done: int, total: int) -> str:
    return f'<label>{escape(title)} <progress value="{done}" max="{total}"></progress> {done}/{total}</label>'


@contextmanager
def _terminal_bar(title: str) -> Iterator[Progress]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ModuleNotFoundError:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
