"""The engine computes the values of `objective` faster: planned once per (network, directions, data), run per point.

One file per optimization, each with its measured gain and a way to turn it off. Never changes a value beyond rounding;
a network that it cannot speed up runs plainly.

    graph/     any nn.Module as a graph of ATen operators (record.py; interpret.py is the reference interpreter), and as
               layers whose weights are affine in the coefficients, BatchNorm folded (layers.py, fold.py)
    fused/     one pass over the network per point, with the best kernel for each layer; cuda_graph.py for GPUs
    lanes/     many points per pass, one in each SIMD lane; perceptron.py for multilayer perceptrons
    native/    the C++ kernels
    plain.py   the unmodified model: the reference for the other back ends, and the fallback

A `choice`, a small JSON object, describes a plan: back end, batch size. By default a fixed rule makes it (choose.py),
so the same request gives the same bits in any process; it is stored with the job and passed to every other worker.
"""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..directions.random import Params
from ..errors import UnknownNameError
from ..objective.batch_norm import Calibration
from ..objective.objective import Objective, depends_on_batch
from .choose import build, default_choice
from .graph.compile import prepare
from .graph.record import Unrecordable
from .plain import PlainPlan
from .protocol import Choice, Plan
from .recalibrate import RecalibratedPlan
from .tf32 import exact_float32

__all__ = ["Choice", "Plan", "agree", "exact_float32", "plan"]

logger = logging.getLogger(__name__)

CHECKED = 4  # images on which a plan is checked against the plain one


def plan(
    objective: Objective,
    directions: Sequence[Params],
    choice: Mapping[str, object] | None = None,
    *,
    precision: str | None = None,
    calibration: Calibration | None = None,
) -> Plan:
    """The plan of `choice`, by default of the fixed rule; the plain plan if the network cannot be recorded.

    Args:
        choice: the `choice` of an earlier plan, to get the same bits.
        precision: "bfloat16" for 16-bit arithmetic on a float32 objective (audit.py measures its error); by default
            the precision of the objective.
        calibration: computes the statistics of BatchNorm at every point from its samples.

    Raises:
        UnknownNameError: the engine is not known, or the network has operators without bfloat16.
    """
    plain = PlainPlan(objective, directions, calibration)
    if (choice is not None and choice.get("engine") == "plain") or not _recordable(objective, directions):
        return plain
    if objective.ends_in_one or (calibration is not None and depends_on_batch(objective.model)):
        return plain
    try:
        network = prepare(objective, directions, recalibrated=calibration is not None)
        chosen = choice or default_choice(objective, network, precision, calibrated=calibration is not None)
        inner = build(objective, network, len(directions), chosen)
        faster: Plan = inner if calibration is None else RecalibratedPlan(inner, calibration, directions)
        return faster if agree(plain, faster, objective.samples(0, CHECKED)) else plain
    except UnknownNameError:
        raise
    except Unrecordable as reason:
        logger.info("The network runs plainly, since it cannot be recorded: %s", reason)
    except Exception:  # an unusual network is not rejected: the plain loop computes its landscape
        logger.warning("The network runs plainly, since the engine failed on it.", exc_info=True)
    return plain


def _recordable(objective: Objective, directions: Sequence[Params]) -> bool:
    """Whether a graph can stand for the network: one forward pass for each sample, and real numbers that move."""
    found = objective.behaviour
    alone = not (found.together or found.random or found.keeps_state)
    if any(parameter.is_complex() for parameter in objective.model.parameters()):
        return False
    moved = (tensor for direction in directions for tensor in direction.values())
    return alone and found.autograd == "off" and not any(tensor.is_complex() and tensor.any() for tensor in moved)


def agree(plain: Plan, faster: Plan, images: Tensor) -> bool:
    """Whether both plans give the same scores on a few images, half a direction away from the center.

    A wrongly recorded network is wrong everywhere; rounding is a thousand times below the tolerance.
    """
    point = (0.5,) * faster.directions
    expected, got = (plan.scores(point, images.clone()) for plan in (plain, faster))  # the network may write to them
    size = float(expected.abs().nan_to_num(0.0, 0.0, 0.0).max())
    tolerance = 0.2 if faster.choice.get("precision") == "bfloat16" else 1e-3
    if torch.allclose(expected, got, rtol=0.0, atol=tolerance * size, equal_nan=True):
        return True
    logger.warning("The network runs plainly, since the scores of its %s plan differ from the model's.", faster.name)
    return False
