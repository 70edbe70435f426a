"""Walls that a process raises around itself before it touches what strangers have sent: fewer rights, for good.

`raise_walls` is called first thing in a fresh process of one thread (`python -I`, an empty environment, no descriptors
but those that it needs); nothing lowers a wall again. Standard library only; torch is loaded behind the walls.
"""

from .kernel import die_with_parent
from .limits import NICE, out_of_computing, set_limits, thread_variables
from .walls import Walls, available, raise_walls

__all__ = [
    "NICE",
    "Walls",
    "available",
    "die_with_parent",
    "out_of_computing",
    "raise_walls",
    "set_limits",
    "thread_variables",
]
