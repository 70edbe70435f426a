"""Packed networks through the service: compared with their originals, mixing samples, of complex numbers."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape as ls
from tests.landscape.evaluation.test_complex import Rotary
from tests.landscape.packing.test_original import FORMAT_1, Mixing, another_operator, changed
from tests.support.service import Service, wait_for
from tests.support.small_models import gaussian, perceptron

SPEC: dict[str, Any] = {"kind": "slice", "grid": {"alpha": {"count": 3}}}


def samples(service: Service, name: str, **arrays: Any) -> str:
    """Upload a data set; its name."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    sent = service.api.put("/datasets", params={"name": name}, content=file.getvalue()).json()
    path = f"/datasets/{sent['id']}"
    assert wait_for(lambda: service.api.get(path).json()["state"] in ("ready", "rejected"), "the data to be read")
    assert service.api.get(path).json()["state"] == "ready"
    return name


def vectors(service: Service, name: str, width: int, classes: int, count: int = 20) -> tuple[str, Tensor, Tensor]:
    """A data set of vectors: its name, and inputs and labels as the service has them."""
    inputs, labels = gaussian(count, width, seed=4), torch.arange(count) % classes
    sent = samples(service, name, inputs=inputs.numpy(), labels=labels.numpy())
    return sent, inputs, labels


def result_of(service: Service, path: Path, dataset: str) -> dict[str, Any]:
    checkpoint = service.upload(path)
    return service.result(service.wait(service.submit(**SPEC, checkpoint=checkpoint["id"], dataset=dataset))["id"])


def original_of(result: dict[str, Any]) -> dict[str, Any]:
    [line] = [check for check in result["self_check"]["checks"] if check["name"] == "original module"]
    return line


def test_a_job_of_a_packed_network_compares_it_with_its_original(service: Service, tmp_path: Path) -> None:
    dataset, inputs, labels = vectors(service, "five", 5, 3)
    result = result_of(service, ls.pack(perceptron(), inputs[:2], tmp_path / "good.safetensors"), dataset)
    assert original_of(result)["passed"]
    assert max(result["provenance"]["original"]["differences"]) < 1e-6
    assert result["provenance"]["warnings"] == []
    expected = nn.functional.cross_entropy(perceptron()(inputs), labels).item()
    assert result["losses"][1][0] == pytest.approx(expected, rel=1e-5)


def test_a_job_of_a_file_that_computes_something_else_fails_its_check(service: Service, tmp_path: Path) -> None:
    dataset, inputs, _ = vectors(service, "five again", 5, 3)
    path = changed(ls.pack(perceptron(), inputs[:2], tmp_path / "bad.safetensors"), another_operator)
    result = result_of(service, path, dataset)
    assert not original_of(result)["passed"]
    assert not result["self_check"]["passed"]


def test_a_job_of_an_older_file_warns_that_it_is_not_verified(service: Service) -> None:
    dataset, _, _ = vectors(service, "three", 3, 2)
    result = result_of(service, FORMAT_1, dataset)
    assert original_of(result)["passed"]
    assert original_of(result)["text"].startswith("not verified against the original")
    [warning] = result["provenance"]["warnings"]
    assert warning.startswith("The network is not verified against the original: the file holds no outputs of it")


def test_a_packed_network_that_mixes_samples_is_computed_over_a_batch_that_the_caption_names(
    service: Service, tmp_path: Path
) -> None:
    dataset, inputs, labels = vectors(service, "six", 6, 3)
    result = result_of(service, ls.pack(Mixing(), inputs[:3], tmp_path / "mixing.safetensors"), dataset)
    assert result["provenance"]["forward"]["together"]
    assert result["provenance"]["batch"] == 20
    assert "batch" in result["caption"]
    expected = nn.functional.cross_entropy(Mixing()(inputs), labels).item()
    assert result["losses"][1][0] == pytest.approx(expected, rel=1e-5)
    assert result["self_check"]["passed"]


class PerToken(Rotary):
    """A rotary transformer that answers for every token, as the service's token data sets have their targets."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 20)

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.turned(self.embedding(tokens)).chunk(3, -1)
        scores = self._turn(queries) @ self._turn(keys).transpose(1, 2)
        return self.last(scores.softmax(-1) @ values)


def test_a_packed_rotary_transformer_has_the_loss_of_its_module(service: Service, tmp_path: Path) -> None:
    torch.manual_seed(5)
    model, tokens = PerToken(), torch.randint(0, 20, (9, 7))
    dataset = samples(service, "sentences", tokens=tokens.numpy())
    result = result_of(service, ls.pack(model, tokens[:2, :-1], tmp_path / "rotary.safetensors"), dataset)
    expected = nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert result["losses"][1][0] == pytest.approx(expected, rel=1e-6)
    assert result["self_check"]["passed"]
    assert max(result["provenance"]["original"]["differences"]) < 1e-6
