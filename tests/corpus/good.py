"""Good files: the weights of the network `GOOD` in every common form."""

import argparse
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save

from tests.corpus.parts import GOOD, legacy, saved

State = dict[str, torch.Tensor]


def prefixed(prefix: str, state: State = GOOD) -> State:
    return {prefix + name: value for name, value in state.items()}


def views() -> State:
    """Every parameter a view into one long tensor."""
    flat = torch.cat([value.flatten() for value in GOOD.values()])
    parts = flat.split([value.numel() for value in GOOD.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(GOOD.items(), parts, strict=True)}


def transposed() -> State:
    """Stored column by column, read row by row."""
    turned = {name: value.t().contiguous().t() for name, value in GOOD.items() if value.ndim == 2}
    return {**GOOD, **turned}


def channels_last() -> State:
    return {n: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in GOOD.items()}


def as_type(dtype: torch.dtype) -> State:
    return {name: value.to(dtype) for name, value in GOOD.items()}


def with_counters() -> State:
    counters = {n.replace("running_var", "num_batches_tracked"): torch.tensor(7) for n in GOOD if "running_var" in n}
    return {**GOOD, **counters}


def with_metadata() -> Any:
    """As `model.state_dict()` gives it, with its attribute `_metadata`."""
    state = OrderedDict(with_counters())
    state._metadata = OrderedDict({"": {"version": 1}, "bn1": {"version": 2}})  # type: ignore[attr-defined]
    return state


def parameters() -> dict[str, Any]:
    return {name: torch.nn.Parameter(value) for name, value in GOOD.items()}


LIGHTNING = {
    "epoch": 3,
    "global_step": 100,
    "pytorch-lightning_version": "2.5.0",
    "state_dict": prefixed("model."),
    "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
    "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
    "optimizer_states": [{"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}],
    "lr_schedulers": [{"last_epoch": 3, "_last_lr": [0.1]}],
    "hparams_name": "kwargs",
    "hyper_parameters": {"lr": 0.1, "layers": [1, 2], "name": "größe"},
}

GOOD_FILES: dict[str, Callable[[], bytes]] = {
    "bare": lambda: saved(GOOD),
    "with counters and metadata": lambda: saved(with_metadata()),
    "parameters": lambda: saved(parameters()),
    "nested": lambda: saved({"state_dict": GOOD, "acc": 98.7, "epoch": 40}),
    "nested under net, as t7": lambda: saved({"net": GOOD, "acc": 94.1, "epoch": 200}),
    "with optimizer": lambda: saved({"model": GOOD, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}),
    "with arguments": lambda: saved({"model": GOOD, "args": argparse.Namespace(lr=0.1, path="/data")}),
    "with a device, a size and a type": lambda: saved(
        {"model": GOOD, "at": torch.device("cpu"), "size": torch.Size([3])}
    ),
    "two levels": lambda: saved({"model": {"state_dict": GOOD, "step": 3}}),
    "Lightning": lambda: saved(LIGHTNING),
    "from DataParallel": lambda: saved(prefixed("module.")),
    "from torch.compile": lambda: saved(prefixed("_orig_mod.")),
    "from both": lambda: saved(prefixed("module._orig_mod.")),
    "under an attribute": lambda: saved(prefixed("backbone.")),
    "legacy": lambda: legacy(GOOD),
    "legacy, nested, with views": lambda: legacy({"state_dict": views(), "epoch": 2}),
    "protocol 4": lambda: saved(GOOD, pickle_protocol=4),
    "double": lambda: saved(as_type(torch.float64)),
    "half": lambda: saved(as_type(torch.float16)),
    "bfloat16": lambda: saved(as_type(torch.bfloat16)),
    "safetensors": lambda: save(GOOD),
    "safetensors of bfloat16": lambda: save(as_type(torch.bfloat16)),
    "safetensors of half": lambda: save(as_type(torch.float16)),
    "safetensors with facts": lambda: save(GOOD, {"epoch": "3", "note": "größe"}),
    "unicode around": lambda: saved({"state_dict": GOOD, "эпоха": 3, "名前": "模型"}),
    "channels last": lambda: saved(channels_last()),
    "views": lambda: saved(views()),
    "transposed": lambda: saved(transposed()),
    "in another order": lambda: saved(dict(reversed(GOOD.items()))),
}
ROUNDED = {"half": 1e-3, "bfloat16": 8e-3, "safetensors of bfloat16": 8e-3, "safetensors of half": 1e-3}
