"""Save a trajectory from any training loop with one line, and find its files again.

Never changes the model; has Lightning's hooks by name, without importing it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..disk import write_durably
from ..errors import CheckpointError, LandscapeError, MissingLibraryError
from ..keywords import checks_keywords

ENDING = ".safetensors"


@checks_keywords
class Recorder:
    """Writes the state of a model to a folder every time it is called; pass `files` to `ls.trajectory`.

        record = ls.Recorder("run")
        record(model)                       # the initialization
        for epoch in range(10):
            ...
            record(model)

    With Lightning it is a callback: `Trainer(callbacks=[ls.Recorder("run")])` records the start and every epoch, on
    rank 0 only.
    """

    def __init__(self, folder: str | Path, *, every: int = 1, part: str = "", resume: bool = False):
        """
        Args:
            folder: where the files go; created with the first file.
            every: write one of `every` calls, starting with the first; with Lightning, one of `every` epochs.
            part: name of a submodule to record, such as the network inside a LightningModule; "" for all of it.
            resume: continue after the existing files.

        Raises:
            LandscapeError: `every` is below 1, or the folder already holds a trajectory and `resume` is not set.
        """
        if every < 1:
            raise LandscapeError(f"'every' must be 1 or more; got {every}.")
        self.folder: Path = Path(folder)
        self.every: int = every
        self.part: str = part
        self.calls: int = 0
        self.files: list[str] = files_in(self.folder)
        if self.files and not resume:
            raise LandscapeError(
                f"The folder '{self.folder.name}' holds a trajectory of {len(self.files)} files already. "
                "Choose another, or go on with resume=True."
            )

    def __call__(self, model: nn.Module) -> None:
        """Write the current state of `model`.

        Raises:
            LandscapeError: the file cannot be written.
            MissingLibraryError: safetensors is not installed.
        """
        self.calls += 1
        if (self.calls - 1) % self.every == 0:
            self._write(model)

    def on_train_start(self, trainer: Any, module: nn.Module) -> None:
        """Lightning: record the initialization (or the point where a run resumes)."""
        if getattr(trainer, "is_global_zero", True):
            self(module)

    def on_train_epoch_end(self, trainer: Any, module: nn.Module) -> None:
        """Lightning: record the end of an epoch."""
        if getattr(trainer, "is_global_zero", True):
            self(module)

    def __getattr__(self, name: str) -> Any:
        """Lightning calls every hook of its callbacks: the other hooks do nothing."""
        if name in ("state_key", "_legacy_state_key"):
            return f"landscape.Recorder of {self.folder}"
        if name == "_generate_state_key":
            return lambda **options: self.state_key
        if name == "state_dict":
            return lambda: {}  # Lightning inspects its code
        if name.startswith("on_") or name in ("setup", "teardown", "load_state_dict"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _write(self, model: nn.Module) -> None:
        save = _library().save
        chosen = _unwrapped(model).get_submodule(self.part)
        # Copies: safetensors refuses tensors that share memory, and training continues meanwhile.
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in chosen.state_dict().items()}
        path = self.folder / f"epoch-{len(self.files):03d}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, save(state, metadata={"format": "pt", "epoch": str(len(self.files))}))
        except OSError as error:
            raise LandscapeError(f"{path.name} cannot be written: {error.strerror or error}.") from error
        self.files.append(str(path))


def _nothing(*arguments: Any, **options: Any) -> None:
    """A hook that does nothing."""


def _unwrapped(model: nn.Module) -> nn.Module:
    """The network without the wrappers of data parallelism and torch.compile, which change its names."""
    while isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel) or hasattr(model, "_orig_mod"):
        inner: Any = getattr(model, "_orig_mod", None)
        model = inner or model.get_submodule("module")
    return model


def states_in(path: str | Path) -> list[Mapping[str, Tensor]]:
    """The state dict in a .safetensors file, or those of all such files of a folder in the order of their names.

    Returns:
        A mapping from names to tensors for every file, with shapes and types as saved, on the CPU.

    Raises:
        CheckpointError: there is no such file, or it cannot be read.
        MissingLibraryError: safetensors is not installed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     record = Recorder(folder)
    ...     record(nn.Linear(3, 2))
    ...     record(nn.Linear(3, 2))
    ...     [tuple(state["weight"].shape) for state in states_in(folder)]
    [(2, 3), (2, 3)]
    """
    path = Path(path)
    if path.is_dir():
        return [_state(Path(file)) for file in run_in(path)]
    return [_state(path)]


def run_in(folder: str | Path) -> list[str]:
    """The files of a run in order: those in `folder`, or in the subfolder that `landscape train` writes.

    Raises:
        CheckpointError: there is none.
    """
    files = files_in(Path(folder) / "trajectory") or files_in(folder)
    if not files:
        raise CheckpointError(f"The folder '{Path(folder).name}' holds no {ENDING} file.")
    return files


def files_in(folder: str | Path) -> list[str]:
    """The .safetensors files ordered by name, numbers by value: epoch-9 is before epoch-10."""
    found = Path(folder).glob(f"*{ENDING}")
    ordered = sorted(found, key=lambda path: re.sub(r"\d+", lambda number: number[0].zfill(20), path.stem))
    return [str(path) for path in ordered]


def _state(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint '{path}'.")
    if path.suffix != ENDING:
        raise CheckpointError(
            f"{path.name} is no {ENDING} file. Read it with torch.load(path, weights_only=True) and pass that."
        )
    library = _library()
    try:
        found: Mapping[str, Tensor] = library.load_file(path)
    except Exception as error:  # the library raises its own exceptions for damaged files
        raise CheckpointError(f"{path.name} cannot be read: {str(error)[:120]}.") from error
    return found


def _library() -> Any:
    try:
        from safetensors import torch as library
    except ModuleNotFoundError as error:
        raise MissingLibraryError("Recorded trajectories", "safetensors", "compute") from error
    return library
