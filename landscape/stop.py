"""Stopping a computation early: a function that is asked before every batch."""

from collections.abc import Callable

Stop = Callable[[], bool]  # returns whether to stop


class Stopped(Exception):
    """`stop` returned true during an evaluation."""
