"""Trajectories recorded from a plain loop and by a callback, and read by `ls.trajectory`."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import landscape as ls
from landscape.errors import CheckpointError, LandscapeError
from tests.support.small_models import perceptron, vectors

IMAGES, LABELS = vectors()


def epochs(model: nn.Module, count: int) -> Any:
    """A plain training loop; yields after every epoch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()
        yield


def test_a_recorded_run_is_the_trajectory_of_its_states(tmp_path: Path) -> None:
    model, record, states = perceptron(), ls.Recorder(tmp_path / "run"), []
    record(model)
    states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    for _ in epochs(model, 5):
        record(model)
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    assert [Path(file).name for file in record.files] == [f"epoch-{k:03d}.safetensors" for k in range(6)]
    for file, state in zip(record.files, states, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in load_file(file).items())
    grid = ls.Grid.square(3)
    expected = ls.trajectory(model, states, IMAGES, LABELS, grid=grid)
    for given in (record.files, tmp_path / "run", str(tmp_path / "run"), [Path(file) for file in record.files]):
        assert ls.trajectory(model, given, IMAGES, LABELS, grid=grid).path == expected.path
    assert expected.path["losses"][-1] < expected.path["losses"][0]


def test_the_folder_that_landscape_train_writes_is_a_trajectory_too(tmp_path: Path) -> None:
    record = ls.Recorder(tmp_path / "run" / "trajectory")
    model = perceptron()
    record(model)
    for _ in epochs(model, 3):
        record(model)
    (tmp_path / "run" / "record.json").write_text("{}")
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(Path(record.files[-1]).read_bytes())
    assert ls.trajectory(model, tmp_path / "run", IMAGES, LABELS, grid=ls.Grid.square(3)).computed.all()


def test_every_tenth_epoch_and_more_than_a_thousand_keep_their_order(tmp_path: Path) -> None:
    model, record = nn.Linear(1, 1), ls.Recorder(tmp_path / "run", every=10)
    for _ in range(31):
        record(model)
    assert len(record.files) == 4
    for number in (9, 10, 1000):
        (tmp_path / f"epoch-{number}.safetensors").write_bytes(b"")
    from landscape.training.recorder import files_in

    assert [Path(file).stem for file in files_in(tmp_path)] == ["epoch-9", "epoch-10", "epoch-1000"]


def test_a_folder_with_a_trajectory_is_not_mixed_with_another(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    ls.Recorder(tmp_path)(model)
    with pytest.raises(LandscapeError, match=r"holds a trajectory of 1 files already.*resume=True"):
        ls.Recorder(tmp_path)
    record = ls.Recorder(tmp_path, resume=True)
    record(model)
    assert [Path(file).name for file in record.files] == ["epoch-000.safetensors", "epoch-001.safetensors"]
    with pytest.raises(LandscapeError, match="'every' must be 1 or more"):
        ls.Recorder(tmp_path / "other", every=0)


def test_tied_weights_a_part_and_wrapped_networks_are_recorded_under_their_own_names(tmp_path: Path) -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
            self.model[1].weight = self.model[0].weight

    whole = Whole()
    record = ls.Recorder(tmp_path, part="model")
    record(nn.DataParallel(whole))
    assert set(load_file(record.files[0])) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    with safe_open(record.files[0], "pt") as file:
        assert file.metadata()["format"] == "pt"
    assert not list(tmp_path.glob("*.part"))


def test_what_is_no_trajectory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    model = perceptron()
    torch.save(model.state_dict(), tmp_path / "epoch.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for given, sentence in (
        (tmp_path / "none", "There is no checkpoint"),
        (tmp_path / "empty", r"holds no \.safetensors file"),
        ([tmp_path / "epoch.pt"], r"torch\.load\(path, weights_only=True\)"),
        ([tmp_path / "bad.safetensors"], "bad.safetensors cannot be read"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            ls.trajectory(model, given, IMAGES, LABELS)


class Trainer:
    """Calls its callbacks like Lightning's trainer: every hook by its name, on every callback."""

    HOOKS = ("setup", "on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_end")

    def __init__(self, callbacks: list[Any], *, first: bool = True):
        self.callbacks, self.is_global_zero = callbacks, first

    def fit(self, module: nn.Module, count: int) -> None:
        self.call(*self.HOOKS[:3], module=module)
        for _ in epochs(module, count):
            self.call("on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end", module=module)
        self.call("on_train_end", "on_fit_end", "teardown", module=module)

    def call(self, *hooks: str, module: nn.Module) -> None:
        for hook in hooks:
            for callback in self.callbacks:
                getattr(callback, hook)(self, module)


def test_as_a_callback_it_records_the_start_and_every_epoch(tmp_path: Path) -> None:
    record, other = ls.Recorder(tmp_path / "one"), ls.Recorder(tmp_path / "other")
    Trainer([record]).fit(perceptron(), 3)
    assert len(record.files) == 4
    Trainer([other], first=False).fit(perceptron(), 3)  # not the first process: it writes nothing
    assert not other.files
    with pytest.raises(AttributeError, match="no attribute 'fils'"):
        record.fils  # noqa: B018


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="Lightning is not installed")
def test_lightning_itself_takes_it_as_a_callback(tmp_path: Path) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = perceptron()

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x)

        def training_step(self, batch: Any, index: int) -> Tensor:
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.2)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, LABELS), batch_size=10)
    record, part = ls.Recorder(tmp_path / "run"), ls.Recorder(tmp_path / "part", part="model")
    quiet: dict[str, Any] = {
        "default_root_dir": tmp_path,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    module = Module()
    trainer = lightning.Trainer(max_epochs=4, callbacks=[record, part], accelerator="cpu", **quiet)
    trainer.fit(module, loader)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    assert len(record.files) == len(part.files) == 5
    result = ls.trajectory(perceptron(), part.files, IMAGES, LABELS, grid=ls.Grid.square(3))
    assert np.isfinite(result.losses).all()
    assert ls.trajectory(module, record.files, loader, grid=ls.Grid.square(3)).path["losses"] == result.path["losses"]
