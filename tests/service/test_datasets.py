"""Data sets through the service: uploaded, read in the sandbox, used by jobs, rejected with a reason."""

import contextlib
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

import landscape as ls
from landscape.models import build
from landscape.models.mlp_lenet import MLP
from tests.support.service import Service, wait_for

RNG = np.random.default_rng(0)
SPEC: dict[str, Any] = {"kind": "slice", "grid": {"alpha": {"count": 3}}}


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def upload(service: Service, content: bytes, name: str, state: str = "ready") -> dict[str, Any]:
    answer = service.api.put("/datasets", params={"name": name}, content=content)
    assert answer.status_code == 201, answer.text
    path = f"/datasets/{answer.json()['id']}"
    assert wait_for(lambda: service.api.get(path).json()["state"] in ("ready", "rejected"), "the data to be read")
    found: dict[str, Any] = service.api.get(path).json()
    assert found["state"] == state, found
    return found


def images(count: int) -> Any:
    return RNG.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def labels(count: int) -> Any:
    return np.arange(count) % 5


MODEL = MLP((("a", True), ("b", True)), (48, 9, 5))


def network(service: Service, **around: Any) -> str:
    """Upload a small MLP and choose its activation; the id."""
    file = io.BytesIO()
    torch.save({"state_dict": build(MODEL).state_dict(), **around}, file)
    checkpoint = service.upload(file.getvalue(), "mlp.pt")
    service.api.post(f"/checkpoints/{checkpoint['id']}/architecture", json={"index": 0})
    return str(checkpoint["id"])


def test_a_job_on_an_uploaded_data_set_gives_the_numbers_of_the_library(service: Service) -> None:
    pixels, classes = images(23), labels(23)
    content = npz(images=pixels, labels=classes, test_images=images(7), test_labels=labels(7))
    found = upload(service, content, "mine")
    assert found["splits"] == {"train": 23, "test": 7}
    assert (found["kind"], found["targets"], found["classes"], found["shape"]) == ("images", "classes", 5, [3, 4, 4])
    assert found["normalization"].startswith("(pixel / 255 − mean) / std, mean (0.")
    job = service.wait(service.submit(**SPEC, checkpoint=network(service), dataset="mine"))
    assert job["spec"]["dataset"] == found["id"]
    scaled = pixels.transpose(0, 3, 1, 2) / 255
    normal = (scaled - scaled.mean((0, 2, 3), keepdims=True)) / scaled.std((0, 2, 3), keepdims=True)
    x, y = torch.from_numpy(normal).float(), torch.from_numpy(classes)
    expected = nn.functional.cross_entropy(build(MODEL).eval()(x), y).item()
    result = service.result(job["id"])
    assert result["losses"][1][0] == pytest.approx(expected, rel=1e-5)
    assert result["provenance"]["dataset"] == "mine"
    assert result["provenance"]["warnings"] == []


def test_a_network_far_worse_than_its_file_says_gets_a_warning(service: Service) -> None:
    upload(service, npz(images=images(50), labels=labels(50)), "noise")
    job = service.wait(
        service.submit(**SPEC, checkpoint=network(service, best_acc1=torch.tensor(94.0)), dataset="noise")
    )
    [warning] = service.result(job["id"])["provenance"]["warnings"]
    assert warning.startswith("This checkpoint says 94% (best_acc1), here it scores ")
    assert warning.endswith("wrong normalization or classes?")


class Tiny(nn.Module):
    """A language model: each token predicts the next."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.table(x)))


def test_a_packed_language_model_is_evaluated_on_token_sequences(service: Service, tmp_path: Path) -> None:
    tokens = RNG.integers(0, 11, (9, 8))
    found = upload(service, npz(tokens=tokens), "text")
    assert (found["kind"], found["targets"], found["shape"], found["vocabulary"]) == ("tokens", "tokens", [7], 11)
    x = torch.from_numpy(tokens)
    model = Tiny()
    path = ls.pack(model, x[:, :-1], tmp_path / "tiny.safetensors")
    checkpoint = service.upload(path)
    job = service.wait(service.submit(**SPEC, checkpoint=checkpoint["id"], dataset="text"))
    expected = nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()).item()
    assert service.result(job["id"])["losses"][1][0] == pytest.approx(expected, rel=1e-5)
    refused = service.api.post("/jobs", json={**SPEC, "checkpoint": checkpoint["id"], "dataset": "digits"})
    assert refused.json()["error"]["message"] == "The network takes tokens; digits holds images."


def test_regression_targets_have_a_squared_error(service: Service) -> None:
    inputs, targets = RNG.normal(size=(12, 48)), RNG.normal(size=(12, 5))
    upload(service, npz(inputs=inputs.astype(np.float32), targets=targets), "numbers")
    job = service.wait(service.submit(**SPEC, checkpoint=network(service), dataset="numbers"))
    outputs = build(MODEL).eval()(torch.from_numpy(inputs).float())
    expected = (outputs - torch.from_numpy(targets)).square().mean().item()
    assert service.result(job["id"])["losses"][1][0] == pytest.approx(expected, rel=1e-5)


def hdf5(**arrays: Any) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            opened[name] = array
    return file.getvalue()


def test_the_same_samples_in_every_format_give_the_same_data_set(service: Service) -> None:
    x, y = RNG.normal(size=(6, 3, 4, 4)).astype(np.float32), labels(6)
    checkpoint, losses = network(service), []
    files = {
        "as npz": npz(images=x.astype(">f4"), labels=y.astype(np.uint8)),
        "as h5": hdf5(images=x, labels=y),
        "as safetensors": save({"images": torch.from_numpy(x), "labels": torch.from_numpy(y)}),
    }
    for name, content in files.items():
        upload(service, content, name)
        job = service.wait(service.submit(**SPEC, checkpoint=checkpoint, dataset=name))
        losses.append(service.result(job["id"])["losses"])
    assert losses[1:] == losses[:1] * 2


def linked(link: Any) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["labels"] = labels(3)
        opened["images"] = link
    return file.getvalue()


BAD = {
    "text": (b"hello" * 100, "not a usable .npz"),
    "a label below zero": (npz(images=images(3), labels=labels(3) - 1), "run from -1 to 1"),
    "objects": (npz(images=images(2), labels=np.array(["a", None], object)), "Python objects"),
    "NaN": (npz(images=np.full((2, 1, 3, 3), np.nan, np.float32), labels=labels(2)), "NaN"),
    "lengths that differ": (npz(images=images(3), labels=labels(4)), "3 images but 4 labels"),
    "an external link": (linked(h5py.ExternalLink("/etc/passwd", "/x")), "link"),
    "a soft link": (linked(h5py.SoftLink("/labels")), "link"),
    "an unknown archive": (b"\x1f\x8b" + bytes(100), "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_data_set_is_rejected_with_a_reason(service: Service, name: str) -> None:
    content, said = BAD[name]
    found = upload(service, content, "bad", state="rejected")
    assert said in found["reason"]
    assert len(found["reason"]) <= 500
    assert str(service.data) not in found["reason"]
    refused = service.api.post("/jobs", json={**SPEC, "checkpoint": network(service), "dataset": found["id"]})
    assert refused.status_code == 422
    assert "rejected" in refused.json()["error"]["message"]


def test_an_incompatible_job_is_refused_with_the_name_of_the_data_set(service: Service) -> None:
    upload(service, npz(images=images(6), labels=np.arange(6)), "six")
    answer = service.api.post("/jobs", json={**SPEC, "checkpoint": network(service), "dataset": "six"})
    assert answer.json()["error"]["message"] == "The network has 5 classes; six has 6."
    answer = service.api.post("/jobs", json={**SPEC, "checkpoint": network(service), "dataset": "six", "split": "test"})
    assert answer.status_code == 422


def test_a_built_in_name_cannot_be_taken_and_an_upload_can_be_deleted(service: Service) -> None:
    assert service.api.put("/datasets", params={"name": "digits"}, content=b"x").status_code == 422
    found = upload(service, npz(images=images(3), labels=labels(3)), "gone soon")
    assert service.api.delete(f"/datasets/{found['id']}").status_code == 204
    assert service.api.get(f"/datasets/{found['id']}").status_code == 404
    assert [item["name"] for item in service.api.get("/datasets").json()["items"]][:2] == ["digits", "synthetic"]


def test_workers_share_one_copy_of_a_large_data_set_which_is_deleted_with_it(service: Service) -> None:
    classes = np.arange(500_000) % 5
    pixels = RNG.integers(0, 256, (500_000, 1, 2, 5), dtype=np.uint8)  # 20 MB as float32
    found = upload(service, npz(images=pixels, labels=classes), "large")
    file = io.BytesIO()
    torch.save({"state_dict": build(MLP((("a", True), ("b", True)), (10, 4, 5))).state_dict()}, file)
    checkpoint = service.upload(file.getvalue(), "small.pt")["id"]
    service.api.post(f"/checkpoints/{checkpoint}/architecture", json={"index": 0})
    folder = service.data / "store" / "prepared"

    def users() -> int:
        """Cells that map the prepared samples."""
        found = 0
        for one in psutil.Process(service.process.pid).children(recursive=True):
            with contextlib.suppress(OSError):  # a cell that has ended meanwhile
                found += str(folder) in Path(f"/proc/{one.pid}/maps").read_text()
        return found

    grid = {"alpha": {"count": 101}}
    one = service.submit(kind="slice", grid=grid, checkpoint=checkpoint, dataset=found["id"])
    wait_for(lambda: users() == 2, "both workers to use the set")
    service.wait(one)
    [kept] = folder.glob("[!.]*")
    assert kept.stat().st_size > 20_000_000
    assert (folder.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o400)
    assert service.api.delete(f"/datasets/{found['id']}").status_code == 204
    wait_for(lambda: not list(folder.glob("[!.]*")), "what was made of it to go")
