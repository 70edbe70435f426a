"""Invalid input is refused with a message that names the field or the reason, and changes nothing."""

import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from tests.support.paths import GALLERY
from tests.support.service import Service

GOOD = load_file(GALLERY / "resnet20-w8-plain.safetensors")


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


class Evil:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit(77)",))


def flipped_bit() -> bytes:
    content = bytearray(saved(GOOD))
    content[len(content) // 2] ^= 1
    return bytes(content)


def zip_of(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def changed(name: str, tensor: torch.Tensor) -> bytes:
    return save({**GOOD, name: tensor})


BAD_FILES = {
    "a text file": (b"hello\n" * 100, "not a checkpoint"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint"),
    "a zip of something else": (zip_of(letter=b"hello"), "no data.pkl"),
    "a pickle that runs code": (saved({"weights": Evil()}), "can run code"),
    "a bare pickle that runs code": (pickle.dumps(Evil(), protocol=2), "can run code"),
    "a whole pickled module": (saved(torch.nn.Linear(2, 2)), "can run code"),
    "a TorchScript program": (zip_of(**{"m/data.pkl": b"", "m/code/x.py": b"", "m/constants.pkl": b""}), "TorchScript"),
    "a cut-off file": (saved(GOOD)[:-5000], "damaged"),
    "a file with a flipped bit": (flipped_bit(), "checksum"),
    "a list": (saved([1, 2]), "list"),
    "numbers instead of tensors": (saved({"conv1.weight": 3}), "conv1.weight"),
    "cut-off safetensors": (save(GOOD)[:-100], "damaged"),
    "an unknown network": (save({"encoder.weight": torch.zeros(3, 4)}), "encoder.weight"),
    "a misshapen parameter": (changed("layer1.0.conv1.weight", torch.zeros(8, 9, 3, 3)), "layer1.0.conv1.weight"),
    "an infinite weight": (changed("linear.bias", torch.full((10,), torch.inf)), "linear.bias"),
    "a negative variance": (changed("bn1.running_var", -torch.ones(8)), "bn1.running_var"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_rejected_with_a_reason(service: Service, kind: str) -> None:
    content, expected = BAD_FILES[kind]
    checkpoint = service.upload(content, "bad.pt", state="rejected")
    reason = checkpoint["reason"]
    assert expected in reason
    assert len(reason) <= 500
    assert "\n" not in reason
    assert "Traceback" not in reason
    assert "weights_only" not in reason
    assert str(service.data) not in reason
    assert checkpoint["architecture"] is None
    assert not list((service.data / "store" / "unfinished").iterdir())


GOOD_FILES = {
    "bare": saved(GOOD),
    "nested": saved({"state_dict": GOOD, "acc": 98.7, "epoch": 40}),
    "with optimizer": saved({"model": GOOD, "optimizer": {"lr": 0.1}}),
    "from DataParallel": saved({f"module.{name}": tensor for name, tensor in GOOD.items()}),
    "legacy": saved(GOOD, _use_new_zipfile_serialization=False),
    "double": saved({name: tensor.double() for name, tensor in GOOD.items()}),
    "channels last": saved({n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in GOOD.items()}),
    "safetensors": save(GOOD),
}


@pytest.mark.parametrize("kind", GOOD_FILES)
def test_a_valid_file_is_read_in_every_container_format(service: Service, kind: str) -> None:
    checkpoint = service.upload(GOOD_FILES[kind], "good.pth")
    labels = [candidate["label"] for candidate in checkpoint["candidates"]]
    assert labels == ["ResNet-20, width 8, without shortcuts", "ResNet-20, width 8, option-A shortcuts"]
    assert checkpoint["architecture"] is None


def test_a_request_can_name_the_architecture(service: Service) -> None:
    checkpoint = service.upload(saved(GOOD), "named.pt")
    spec = {"kind": "slice", "checkpoint": checkpoint["id"], "grid": {"alpha": {"count": 3}}, "subset": {"count": 20}}
    losses = []
    for candidate in checkpoint["candidates"]:
        job_id = service.submit(**spec, architecture=candidate["label"])
        assert service.wait(job_id)["checkpoint"]["label"] == candidate["label"]
        losses.append(service.result(job_id)["losses"])
    assert losses[0] != losses[1]
    refused = service.api.post("/jobs", json={**spec, "architecture": "VGG-9"})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "architecture"
    assert "It fits: ResNet-20" in refused.json()["error"]["message"]


def test_of_several_architectures_the_user_chooses(service: Service) -> None:
    checkpoint = service.upload(saved(GOOD), "ambiguous.pt")
    spec = {"kind": "slice", "checkpoint": checkpoint["id"], "grid": {"alpha": {"count": 3}}, "subset": {"count": 20}}
    refused = service.api.post("/jobs", json=spec)
    assert refused.status_code == 422
    assert "Several networks fit" in refused.json()["error"]["message"]
    path = f"/checkpoints/{checkpoint['id']}/architecture"
    assert service.api.post(path, json={"index": 2}).status_code == 422
    assert service.api.post(path, json={"index": 0}).json()["architecture"]["shortcuts"] == "none"
    service.wait(service.submit(**spec))


NAN, AXIS = float("nan"), {"min": -1.0, "max": 1.0, "count": 5}
BAD_SPECS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no points": ({"grid": {"alpha": {**AXIS, "count": 0}}}, "grid.alpha.count", "2"),
    "too many points": (
        {"grid": {"alpha": {**AXIS, "count": 5001}, "beta": {**AXIS, "count": 5001}}},
        "grid",
        "1002001",
    ),
    "an endless axis": ({"grid": {"alpha": {**AXIS, "count": 10**30}}}, "grid.alpha.count", "100001"),
    "a NaN range": ({"grid": {"alpha": {**AXIS, "min": NAN}}}, "grid.alpha.min", "finite"),
    "a reversed range": ({"grid": {"alpha": {**AXIS, "min": 2.0}}}, "grid.alpha", "reversed"),
    "an empty range": ({"grid": {"beta": {**AXIS, "min": 1.0}}}, "grid.beta", "empty"),
    "a text for a number": ({"grid": {"alpha": {**AXIS, "count": "5"}}}, "grid.alpha.count", "integer"),
    "an unknown data set": ({"dataset": "imagenet"}, "dataset", "Known: digits"),
    "an unknown split": ({"split": "validation"}, "split", "train"),
    "an unknown normalization": ({"normalization": "magic"}, "normalization", "filter"),
    "an unknown precision": ({"precision": "float8"}, "precision", "float32"),
    "an unknown field": ({"colour": "red"}, "colour", "Unknown field. Known: kind, "),
    "a misspelt field": ({"normalisation": "filter"}, "normalisation", "Did you mean 'normalization'? Known: kind, "),
    "a misspelt field of a field": (
        {"grid": {"alhpa": AXIS}},
        "grid.alhpa",
        "Did you mean 'alpha'? Known: alpha, beta",
    ),
    "too large a subset": ({"subset": {"count": 1501}}, "subset.count", "1500"),
    "an empty subset": ({"subset": {"count": 0}}, "subset.count", "1"),
    "a negative seed": ({"seed": -1}, "seed", "0"),
    "an unknown checkpoint": ({"checkpoint": "0" * 32}, "checkpoint", "Upload it first"),
    "a malformed checkpoint id": ({"checkpoint": "../../etc"}, "checkpoint", "pattern"),
}


@pytest.mark.parametrize("kind", BAD_SPECS)
def test_a_bad_request_names_the_field_and_the_limit(service: Service, shipped: dict[str, Any], kind: str) -> None:
    change, field, expected = BAD_SPECS[kind]
    spec = {"kind": "surface", "checkpoint": shipped["id"], **change}
    before = service.api.get("/jobs").json()["total"]
    answer = service.api.post("/jobs", content=json.dumps(spec), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert expected in error["message"]
    assert service.api.get("/jobs").json()["total"] == before


def test_a_network_for_other_classes_does_not_fit_the_data(service: Service) -> None:
    wide = {**GOOD, "linear.weight": torch.zeros(7, 32), "linear.bias": torch.zeros(7)}
    checkpoint = service.upload(save(wide))
    service.api.post(f"/checkpoints/{checkpoint['id']}/architecture", json={"index": 0})
    answer = service.api.post("/jobs", json={"kind": "surface", "checkpoint": checkpoint["id"]})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "The network has 7 classes; digits has 10."
    assert answer.json()["error"]["field"] == "dataset"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"kind": "cube"}', b'"\\ud800"', b"\xff\xfe", b'{"kind": NaN}'])
def test_a_malformed_body_gets_an_error_message(service: Service, body: bytes) -> None:
    answer = service.api.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/jobs/" + "0" * 32, "/checkpoints/" + "0" * 32, "/datasets/none", "/nothing"])
def test_an_unknown_resource_is_not_found(service: Service, path: str) -> None:
    answer = service.api.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_an_empty_upload_is_refused(service: Service) -> None:
    answer = service.api.put("/checkpoints", params={"name": "empty.pt"}, content=b"")
    assert answer.status_code == 422
    assert "empty" in answer.json()["error"]["message"]


def test_an_upload_needs_a_name_and_an_unusual_one_is_kept_as_text(service: Service) -> None:
    assert service.api.put("/checkpoints", content=b"x").status_code == 422
    name = "../../<b>evil</b>\x1b[31m.pt"
    checkpoint = service.upload(np.random.default_rng(0).bytes(100), name, state="rejected")
    assert checkpoint["name"] == "../../<b>evil</b>[31m.pt"
    assert not list(service.data.rglob("*evil*"))
