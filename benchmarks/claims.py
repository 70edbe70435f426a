"""Verifies the claims of docs/comparison.md about the peers by calling them: `python -m benchmarks.claims`.

Runs in the peers' environment (peers.py). Each function below calls one peer on the same trained network and a few
digits and returns facts as text; a fact that no longer holds shows up as a different figure, not as an error.
"""

import contextlib
import copy
import io
import subprocess
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers import HOME, ROOT, _stand_in_for_plotting, environment

NETWORK = ROOT / "landscape" / "gallery" / "resnet20-w8-skip.safetensors"
HESSIAN = "PyHessian==0.1"
Facts = dict[str, str]


def main() -> None:
    """Run this module in the peers' environment."""
    python = environment()
    if not list((HOME / "lib").glob("python*/site-packages/pyhessian")):
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", HESSIAN], check=True)
    subprocess.run([python, "-m", "benchmarks.claims", "--inside"], check=True, cwd=ROOT)


def inside() -> None:
    """Measure and print one table per peer."""
    _stand_in_for_plotting()
    warnings.simplefilter("ignore")
    for name, measure in PEERS.items():
        torch.manual_seed(0)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            facts = measure()
        print(f"\n{name}\n| what | measured |\n|---|---|")
        for what, found in facts.items():
            print(f"| {what} | {found} |")


def _network() -> nn.Module:
    from landscape.checkpoints.inspect import inspect

    return inspect(NETWORK).model(0)


def _samples(count: int = 200) -> tuple[Tensor, Tensor]:
    from landscape.data.builtin import load

    digits = load("digits", "train")
    return digits.images[:count].contiguous(), digits.labels[:count].contiguous()


def _parameters(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def _cosine(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    a, b = (torch.cat([tensor.flatten() for tensor in direction]).double() for direction in (one, other))
    return float(a @ b / (a.norm() * b.norm()))


def _filter_ratios(direction: Sequence[Tensor], weights: Sequence[Tensor]) -> str:
    """‖d_f‖ / ‖w_f‖ over the filters of parameters with two axes or more, relative to their mean; all should be 1."""
    pairs = [(d, w) for d, w in zip(direction, weights, strict=True) if w.ndim > 1]
    ratios = torch.cat([d.flatten(1).norm(dim=1) / w.flatten(1).norm(dim=1) for d, w in pairs])
    ratios = ratios / ratios.mean()
    return f"{float(ratios.min()):.2g} to {float(ratios.max()):.2g}"


def _changes(model: nn.Module, before: dict[str, Tensor]) -> str:
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    statistics = [name for name in changed if "running" in name or "num_batches" in name]
    return f"{len(changed) - len(statistics)} parameters, {len(statistics)} running statistics"


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def ours() -> Facts:
    """The same facts, measured for this package."""
    import landscape as ls

    images, labels = _samples()
    model = _network().train()
    before = _state(model)
    grid = ls.Grid(ls.Axis(-1, 1, 3), ls.Axis(-1, 1, 3))
    result = ls.surface(model, images, labels, grid=grid, seed=0)
    facts = result.provenance
    exact = _loss(_network(), images, labels)
    return {
        "filter ratios": f"{facts['filter_ratio_min']:.9g} to {facts['filter_ratio_max']:.9g}",
        "cosine of the two directions": f"{facts['cosine']:.1e}",
        "loss at the center, over the mean of all samples": f"{result.losses[1, 1] / exact:.7f}",
        "changed in a network passed in training mode": _changes(model, before),
        "position of the center on a grid of 3 × 3": "in the middle (self-check)",
    }


def _loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(model.double().eval()(images.double()), labels))


def losscape() -> Facts:
    """`create_random_directions` and `compute_loss`, as `create_3D_losscape` calls them."""
    from losscape.compute_loss import compute_loss
    from losscape.create_directions import create_random_directions

    images, labels = _samples()
    model = _network()
    one, other = create_random_directions(model)
    loader = DataLoader(TensorDataset(images, labels), batch_size=64)  # the last batch has 8
    eight = DataLoader(TensorDataset(*_samples(1500)), batch_size=64)
    found = compute_loss(model, loader, None, None, len(loader))
    model.train()
    before = _state(model)
    compute_loss(model, loader, None, None, len(loader))
    return {
        "filter ratios": _filter_ratios(one, _parameters(model)),
        "cosine of the two directions": f"{_cosine(one, other):.1e}",
        "loss at the center, over the mean of all samples": f"{found / _loss(_network(), images, labels):.4f}",
        "… over 1500 samples, with its default of 8 batches": (
            f"{compute_loss(_network(), eight, None) / _loss(_network(), *_samples(1500)):.4f}"
        ),
        "changed in a network passed in training mode": _changes(model, before),
    }


def loss_landscapes() -> Facts:
    """`random_plane` with its default normalization by filter."""
    import loss_landscapes as peer
    from loss_landscapes.metrics import Loss
    from loss_landscapes.metrics.metric import Metric
    from loss_landscapes.model_interface.model_parameters import orthogonal_to, rand_u_like
    from loss_landscapes.model_interface.model_wrapper import wrap_model

    images, labels = _samples()
    model = _network()
    start = wrap_model(copy.deepcopy(model)).get_module_parameters()
    one = rand_u_like(start)
    other = orthogonal_to(one)
    mean = float(torch.cat([tensor.flatten() for tensor in one.parameters]).mean())
    for direction in (one, other):
        direction.filter_normalize_(start)

    class Where(Metric):  # type: ignore[misc]
        """Records the parameters of every call, and returns the number of the call."""

        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def __call__(self, wrapper: Any) -> float:
            parts = wrapper.get_module_parameters().parameters
            self.seen.append(torch.cat([tensor.detach().flatten() for tensor in parts]).double())
            return float(len(self.seen) - 1)

    where, count = Where(), 4
    order = peer.random_plane(model, where, 1, count, normalization="filter", deepcopy_model=True).astype(int)
    center = torch.cat([tensor.flatten() for tensor in _parameters(model)]).double()
    delta, eta = where.seen[2 * count] - where.seen[0], where.seen[1] - where.seen[0]  # two columns on; one row on
    delta = delta / 2
    basis = torch.stack([delta, eta], 1)
    at = [
        [torch.linalg.lstsq(basis, (where.seen[k] - center)[:, None]).solution.flatten() for k in row] for row in order
    ]
    rows = ["; ".join(f"({float(p[0]):+.1f}, {float(p[1]):+.1f})" for p in row) for row in at[:2]]
    model.train()
    before = _state(model)
    peer.random_plane(model, Loss(F.cross_entropy, images, labels), 1, 2, normalization="model", deepcopy_model=False)
    return {
        "mean of the entries drawn": f"{mean:.3f} (a Gaussian's is 0)",
        "filter ratios": _filter_ratios(one.parameters, start.parameters),
        "cosine of the two directions": f"{_cosine(one.parameters, other.parameters):.2f}",
        "coordinates of the first row it returns, 4 × 4": rows[0],
        "… and of the second": rows[1],
        "changed in a network passed without deepcopy": _changes(model, before),
    }


def landscaper() -> Facts:
    """`compute_loss_landscape` along two random directions."""
    from landscaper.compute import compute_loss_landscape, normalize_direction

    images, labels = _samples()
    model = _network()
    directions = [[torch.randn_like(parameter) for parameter in model.parameters()] for _ in range(2)]
    normalized = normalize_direction([tensor.clone() for tensor in directions[0]], _parameters(model))

    def scalar(network: nn.Module, data: Any) -> float:
        return float(F.cross_entropy(network(data[0]), data[1]))

    def holed(network: nn.Module, data: Any) -> float:
        holed.calls += 1  # type: ignore[attr-defined]
        return float("nan") if holed.calls == 1 else 1.0 + holed.calls  # type: ignore[attr-defined]

    holed.calls = 0  # type: ignore[attr-defined]
    arguments = (directions,)
    flat, _ = compute_loss_landscape(model, (images, labels), *arguments, holed, 3, 0.1, 2, device="cpu")
    surfaces = [
        compute_loss_landscape(model, (images, labels), *arguments, scalar, 3, 0.5, 2, device="cpu")[0]
        for _ in range(2)
    ]
    model.train()
    before = _state(model)
    compute_loss_landscape(model, (images, labels), *arguments, scalar, 2, 0.1, 2, device="cpu")
    return {
        "filter ratios": _filter_ratios(normalized, _parameters(model)),
        "a NaN is returned as": f"{flat[0, 0]:.3f} (the mean of the other points, {sum(range(3, 11)) / 8:.3f})",
        "the same surface twice differs at its highest point by": f"{abs(surfaces[0] - surfaces[1]).max():.2g}",
        "changed in a network passed in training mode": _changes(model, before),
    }


def pyhessian() -> Facts:
    """`hessian` on one batch."""
    from pyhessian import hessian

    from landscape.pointwise import spectrum

    images, labels = _samples(100)
    model = _network().train()
    found = hessian(model, nn.CrossEntropyLoss(), data=(images, labels), cuda=False)
    largest = found.eigenvalues(maxIter=200, tol=1e-4)[0][0]
    own = spectrum(_network(), images, labels, over="all", steps=60, probes=1)
    return {
        "largest eigenvalue, ours over its own": f"{own.lambda_max / largest:.4f}",
        "density()": _outcome(lambda: found.density(iter=10)),
        "the network afterwards": f"training mode {model.training}, {_with_gradients(model)} gradients left",
    }


def _with_gradients(model: nn.Module) -> int:
    return sum(parameter.grad is not None for parameter in model.parameters())


def _outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except Exception as error:
        return f"raises {type(error).__name__}: {str(error)[:80]}"
    return "works"


PEERS: dict[str, Callable[[], Facts]] = {
    "ours": ours,
    "losscape": losscape,
    "loss-landscapes": loss_landscapes,
    "landscaper": landscaper,
    "PyHessian": pyhessian,
}

if __name__ == "__main__":
    import sys

    inside() if "--inside" in sys.argv else main()
