"""Trains the comparison networks, one epoch at a time, reproducibly from a seed.

The global random state is not used; there is no augmentation.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from platform import python_version
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..errors import DataError, LandscapeError
from ..models import Architecture, build
from ..models.recognize import COUNTER
from ..version import __version__

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Settings:
    """How to train: SGD with Nesterov momentum, one cycle of the learning rate.

    Raises:
        LandscapeError: a value is not possible.
    """

    epochs: int = 40
    learning_rate: float = 0.1  # the peak of the cycle
    batch: int = 128
    weight_decay: float = 5e-4  # on every parameter, as in the authors' code
    momentum: float = 0.9
    warmup: float = 0.3  # share of all batches in which the learning rate rises
    seed: int = 0  # for the initial weights and the order of samples

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise LandscapeError(f"'{name}' must be at least 1; got {getattr(self, name)}.")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise LandscapeError(f"'{name}' must be a finite number, 0 or more; got {value}.")
        for name in ("momentum", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise LandscapeError(f"'{name}' must be at least 0 and below 1; got {getattr(self, name)}.")
        if not 0 <= self.seed < 2**63:
            raise LandscapeError(f"'seed' must be a whole number from 0 to 2^63 − 1; got {self.seed}.")


@dataclass(frozen=True)
class Epoch:
    """The state of the training after an epoch; number 0 is the initialization."""

    number: int
    train_loss: float  # nats per sample, over the whole training set in evaluation mode
    train_error: float  # share of training samples classified wrongly, in [0, 1]
    test_error: float  # the same for the test set
    learning_rate: float  # of the epoch's last batch
    state: dict[str, Tensor] = field(repr=False)  # a copy, names and shapes of the module's: float32, with statistics


def train(
    architecture: Architecture, dataset: Dataset, test_dataset: Dataset, settings: Settings = Settings()
) -> Iterator[Epoch]:
    """Train a network from scratch and yield every epoch, the initialization first (so `epochs` + 1 of them).

    Two runs with equal arguments and one thread give equal bits. The learning rate follows `learning_rate`.

    Raises:
        DataError: the images or classes do not fit the network.
        UnknownNetworkError: no module is known for the architecture.
    """
    for samples in (dataset, test_dataset):
        _check_fit(architecture, samples)
    module = build(architecture, settings.seed)
    order = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )
    yield _epoch(0, module, dataset, test_dataset, 0.0)
    for number in range(1, settings.epochs + 1):
        rate = _train_epoch(module, optimizer, dataset, settings, number=number, order=order)
        yield _epoch(number, module, dataset, test_dataset, rate)


def learning_rate(progress: float, settings: Settings) -> float:
    """The learning rate after a share `progress` in [0, 1] of all batches.

    A cosine up from 1/25 of the peak during the warm-up, then one down to 0; the momentum is constant (our choice).

    Source: Smith & Topin 2018, arXiv:1708.07120 ("one cycle"), with cosines as in torch's OneCycleLR.

    >>> [round(learning_rate(progress, Settings(learning_rate=0.1, warmup=0.3)), 9) for progress in (0, 0.3, 0.65, 1)]
    [0.004, 0.1, 0.05, 0.0]
    """
    highest = settings.learning_rate
    if progress < settings.warmup:
        return highest + (highest / 25 - highest) * _falling(progress / settings.warmup)
    return highest * _falling((progress - settings.warmup) / (1 - settings.warmup))


def evaluate(module: nn.Module, dataset: Dataset) -> tuple[float, float]:
    """(mean cross-entropy in nats, share classified wrongly) over all samples, in evaluation mode, without gradients.

    Sums in float64. Leaves the module in the mode it was in.
    """
    was_training = module.training
    module.eval()
    loss, wrong = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(dataset), EVALUATION_BATCH):
            images = dataset.images[start : start + EVALUATION_BATCH]
            labels = dataset.labels[start : start + EVALUATION_BATCH]
            logits = module(images)
            loss += F.cross_entropy(logits.double(), labels, reduction="sum").item()
            wrong += int((logits.argmax(dim=1) != labels).sum())
    module.train(was_training)
    return loss / len(dataset), wrong / len(dataset)


def save_checkpoint(path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, object]) -> str:
    """Write a `.safetensors` file with `state` and return its SHA-256 (hex). Equal arguments give equal bytes.

    Metadata are strings in the file: a string unchanged, anything else as JSON.

    Raises:
        LandscapeError: the file cannot be written.
    """
    described = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    tensors = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    content = _sorted_metadata(save(tensors, metadata=described))
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise LandscapeError(f"{Path(path).name} cannot be written: {error.strerror or error}.") from error
    return hashlib.sha256(content).hexdigest()


class TrainingRun:
    """The folder of one training run: its trajectory, its last checkpoint and its record.

    Raises:
        LandscapeError: the folder is not empty, or cannot be written.
    """

    def __init__(self, folder: Path, *, command: str, architecture: Architecture, dataset: Dataset, settings: Settings):
        self.folder, self.command, self.settings = folder, command, settings
        self.architecture, self.dataset = architecture, dataset
        try:
            (folder / "trajectory").mkdir(parents=True, exist_ok=True)
            if any((folder / "trajectory").iterdir()) or (folder / "record.json").exists():
                raise LandscapeError(f"The folder '{folder.name}' holds a training run already. Choose another.")
        except OSError as error:
            raise LandscapeError(f"The folder '{folder.name}' cannot be used: {error.strerror or error}.") from error

    def save(self, epoch: Epoch) -> None:
        """Write trajectory/epoch-NNN.safetensors.

        Raises:
            LandscapeError: the file cannot be written.
        """
        path = self.folder / "trajectory" / f"epoch-{epoch.number:03d}.safetensors"
        save_checkpoint(path, epoch.state, self._metadata(epoch))

    def finish(self, last: Epoch, *, seconds: float) -> dict[str, Any]:
        """Write checkpoint.safetensors and record.json; returns the record.

        Raises:
            LandscapeError: the checkpoint cannot be written.
        """
        digest = save_checkpoint(self.folder / "checkpoint.safetensors", last.state, self._metadata(last))
        record = {
            "command": self.command,
            "seed": self.settings.seed,
            "architecture": self.architecture.to_json(),
            "label": self.architecture.label,
            "parameters": self.architecture.parameter_count,
            "dataset": self.dataset.name,
            "dataset_sha256": self.dataset.digest,
            "settings": asdict(self.settings),
            "train_loss": last.train_loss,
            "train_error": last.train_error,
            "test_error": last.test_error,
            "sha256": digest,
            "seconds": round(seconds, 1),
            "versions": {"landscape": __version__, "torch": str(torch.__version__), "python": python_version()},
        }
        (self.folder / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        return record

    def _metadata(self, epoch: Epoch) -> dict[str, object]:
        """The metadata of a checkpoint; nothing that differs between two equal runs."""
        return {
            "format": "pt",
            "architecture": self.architecture.to_json(),
            "dataset": self.dataset.name,
            "dataset_sha256": self.dataset.digest,
            "command": self.command,
            "seed": self.settings.seed,
            "epoch": epoch.number,
            "train_loss": epoch.train_loss,
            "train_error": epoch.train_error,
            "test_error": epoch.test_error,
        }


def _sorted_metadata(content: bytes) -> bytes:
    """The same safetensors file with its metadata in alphabetical order: the library writes them in a random one."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = text.ljust(-8 * (-len(text) // 8))
    return len(padded).to_bytes(8, "little") + padded + content[8 + length :]


def _train_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    settings: Settings,
    *,
    number: int,
    order: torch.Generator,
) -> float:
    """One pass over all samples in a new order; returns the last learning rate. The last batch may be short."""
    module.train()
    batches = torch.split(torch.randperm(len(dataset), generator=order), settings.batch)
    rate = 0.0
    for index, batch in enumerate(batches):
        rate = learning_rate((number - 1 + index / len(batches)) / settings.epochs, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(module(dataset.images[batch]), dataset.labels[batch]))
        optimizer.step()
    return rate


def _epoch(number: int, module: nn.Module, dataset: Dataset, test_dataset: Dataset, rate: float) -> Epoch:
    train_loss, train_error = evaluate(module, dataset)
    _, test_error = evaluate(module, test_dataset)
    state = {name: t.detach().clone() for name, t in module.state_dict().items() if not name.endswith(COUNTER)}
    return Epoch(number, train_loss, train_error, test_error, rate, state)


def _falling(progress: float) -> float:
    """Half a cosine from 1 at progress 0 to 0 at progress 1."""
    return (1 + math.cos(math.pi * progress)) / 2


def _check_fit(architecture: Architecture, dataset: Dataset) -> None:
    if dataset.classes > architecture.outputs:
        raise DataError(
            f"The data set {dataset.name} has {dataset.classes} classes, the network {architecture.outputs} outputs. "
            "Use a network with as many outputs as there are classes."
        )
    for axis, expected, found in zip(
        ("channels", "rows", "columns"), architecture.input_shape, dataset.images.shape[1:], strict=True
    ):
        if expected is not None and expected != found:
            raise DataError(f"The images of {dataset.name} have {found} {axis}; the network takes {expected}.")
