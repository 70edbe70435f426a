"""`Landscape`s from options by name, as the functions of the library take them."""

from typing import Any

from torch import Tensor, nn

from landscape.evaluation.landscape import Landscape
from landscape.options import DirectionOptions, EngineOptions, ObjectiveOptions, options_of

GROUPS = {"directions": DirectionOptions, "objective": ObjectiveOptions, "engine": EngineOptions}


def landscape_of(
    model: nn.Module, images: Tensor, labels: Tensor, *, make: type[Landscape] = Landscape, **options: Any
) -> Any:
    """A landscape; an option that belongs to no group goes to its class, such as `dimensions`."""
    groups = {
        name: group(**{one.name: options.pop(one.name) for one in options_of(group) if one.name in options})
        for name, group in GROUPS.items()
    }
    return make(model, images, labels, **groups, **options)
