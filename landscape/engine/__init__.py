"""The numbers of objective.py, faster: plan once per (network, directions, data), apply per point.

Imports torch, objective. One file per idea, each with its measured gain and a switch to turn it off.
Never changes an answer beyond rounding; what it cannot improve runs plainly.

    record.py → graph.py       any nn.Module as a graph of ATen operators; interpret.py is its reference interpreter
    layers.py → fold.py        the graph as layers whose weights are affine in the coefficients, BatchNorm folded
    fused.py, lanes.py         the back ends; plain.py is the yardstick and the fallback

A plan is made by a `choice`, a small JSON object: which back end, which batch. Without one a fixed rule decides
(choose.py), so the same request gives the same bits in any process; `measure` tries the candidates and answers the
fastest choice, to be stored and passed to every other worker.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ..direction import Params
from ..objective import Objective, Value
from .choose import Choice, build, default_choice
from .plain import PlainPlan
from .prepare import prepare
from .record import Unrecordable

Stop = Callable[[], bool]


class Plan(Protocol):
    """A landscape ready to be evaluated: points in, values out."""

    name: str  # what runs, for the provenance
    choice: Choice  # what `plan` must be given to make the same plan again
    group: int  # points that are computed together: ask for a multiple of it at a time

    def values(self, points: Sequence[Sequence[float]], stop: Stop | None = None) -> list[Value]:
        """The value at center + Σ point[k] · directions[k], for every point.

        Raises:
            Stopped: `stop`, asked before every batch, answered true.
        """
        ...


def plan(objective: Objective, directions: Sequence[Params], choice: Mapping[str, object] | None = None) -> Plan:
    """The plan of `choice`, by default the one the fixed rule picks; plainly where the network cannot be recorded."""
    if choice is not None and choice.get("engine") == "plain":
        return PlainPlan(objective, directions)
    try:
        network = prepare(objective, directions)
    except Unrecordable:
        return PlainPlan(objective, directions)
    return build(objective, network, len(directions), choice or default_choice(objective, network))
