"""Every kind of job through the real service, against the library and the checkpoints."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from landscape.engine.fused.onednn import EMULATED, emulated
from tests.support.service import Service

SUBSET = {"count": 80, "seed": 1}


@pytest.fixture(scope="module")
def epochs(service: Service, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A small network trained for five epochs by `landscape train`, each epoch uploaded."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "landscape.cli", "train", "--depth", "8", "--width", "4", "--epochs", "5"]
    subprocess.run([*command, "-o", str(folder)], check=True, capture_output=True)
    files: list[Path] = sorted((folder / "trajectory").iterdir())
    assert len(files) == 6
    return [service.upload(file, file.name) for file in files]


def finished(service: Service, **spec: Any) -> dict[str, Any]:
    return checked(service, service.submit(**{"subset": SUBSET, **spec}))


def checked(service: Service, job_id: str) -> dict[str, Any]:
    service.wait(job_id)
    result = service.result(job_id)
    failed = [check for check in result["self_check"]["checks"] if not check["passed"]]
    assert not failed, failed
    return result


def test_an_interpolation_has_the_loss_of_each_checkpoint_at_its_ends(
    service: Service, epochs: list[dict[str, Any]]
) -> None:
    grid = {"alpha": {"min": -0.25, "max": 1.0, "count": 6}}
    result = finished(service, kind="interpolation", checkpoint=epochs[2]["id"], end=epochs[5]["id"], grid=grid)
    own = [
        finished(service, kind="slice", checkpoint=epochs[k]["id"], grid={"alpha": {"count": 3}})["provenance"][
            "center"
        ]
        for k in (2, 5)
    ]
    assert result["losses"][result["alphas"].index(0.0)][0] == pytest.approx(own[0]["loss"], rel=1e-5)
    assert result["losses"][5][0] == pytest.approx(own[1]["loss"], rel=1e-5)
    assert "statistics moved too" in result["caption"]


def test_a_plane_goes_through_its_three_checkpoints(service: Service, epochs: list[dict[str, Any]]) -> None:
    ids = {"checkpoint": epochs[5]["id"], "second": epochs[2]["id"], "third": epochs[3]["id"]}
    result = finished(service, kind="plane", **ids)
    assert [len(result["alphas"]), len(result["betas"])] == [25, 25]
    ends = result["provenance"]["landmark_losses"]
    assert [end["name"] for end in ends] == ["second", "third"]
    for end in ends:
        assert end["loss"] == pytest.approx(end["independent_loss"], rel=1e-5)


def test_a_trajectory_has_coordinates_residuals_and_losses(service: Service, epochs: list[dict[str, Any]]) -> None:
    grid = {"alpha": {"min": -5.0, "max": 5.0, "count": 4}, "beta": {"min": -2.0, "max": 2.0, "count": 3}}
    result = finished(service, kind="trajectory", epochs=[epoch["id"] for epoch in epochs], grid=grid)
    path = result["trajectory"]
    assert len(path["coordinates"]) == 6
    assert path["coordinates"][-1] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert path["residuals"][-1] == pytest.approx(0.0, abs=1e-4)
    center = result["provenance"]["center"]["loss"]
    assert path["losses"][-1] == pytest.approx(center, rel=1e-4)


def test_a_trajectory_of_three_epochs_is_refused(service: Service, epochs: list[dict[str, Any]]) -> None:
    answer = service.api.post("/jobs", json={"kind": "trajectory", "epochs": [epoch["id"] for epoch in epochs[:3]]})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "epochs"
    assert "4" in answer.json()["error"]["message"]


def test_checkpoints_of_different_architectures_are_refused(
    service: Service, epochs: list[dict[str, Any]], shipped: dict[str, Any]
) -> None:
    spec = {"kind": "interpolation", "checkpoint": epochs[0]["id"], "end": shipped["id"]}
    answer = service.api.post("/jobs", json=spec)
    assert answer.status_code == 422
    assert "Use checkpoints of one network" in answer.json()["error"]["message"]


def test_a_job_on_equal_checkpoints_fails_with_the_reason(service: Service, epochs: list[dict[str, Any]]) -> None:
    job_id = service.submit(kind="interpolation", checkpoint=epochs[0]["id"], end=epochs[0]["id"], subset=SUBSET)
    job = service.wait(job_id, "failed")
    assert job["error"] == "The two checkpoints are equal: there is no line between them. Choose two different ones."


def test_a_curvature_map_holds_extreme_eigenvalues(service: Service, epochs: list[dict[str, Any]]) -> None:
    grid = {"alpha": {"count": 3}, "beta": {"min": -0.5, "max": 0.5, "count": 2}}
    result = finished(service, kind="curvature", checkpoint=epochs[5]["id"], grid=grid, subset={"count": 32}, steps=20)
    low, high = (np.array(result["extra"][name]) for name in ("lambda_min", "lambda_max"))
    assert low.shape == (3, 2)
    assert (low < high).all()
    assert np.array(result["extra"]["curvature_ratio"]) == pytest.approx(abs(low / high))


def test_train_and_test_are_computed_in_one_pass(service: Service, epochs: list[dict[str, Any]]) -> None:
    grid = {"alpha": {"count": 3}}
    both = finished(service, kind="slice", checkpoint=epochs[5]["id"], grid=grid, also="test")
    alone = finished(service, kind="slice", checkpoint=epochs[5]["id"], grid=grid, split="test", subset=None)
    assert both["extra"]["test_losses"] == alone["losses"]
    assert both["extra"]["test_accuracies"] == alone["accuracies"]
    assert both["losses"] != both["extra"]["test_losses"]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"batch_norm": "recalibrated", "calibration": 64}, "BatchNorm recalibrated on 64 samples"),
        ({"batch_norm": "batch"}, "BatchNorm of batches"),
        ({"loss": "mse"}, "mse"),
        ({"normalization": "layer"}, "layer-normalized"),
        ({"weight_decay": 0.001}, "weight decay 0.001"),
    ],
)
def test_every_choice_is_in_the_caption(
    service: Service, epochs: list[dict[str, Any]], choices: dict[str, Any], words: str
) -> None:
    result = finished(service, kind="slice", checkpoint=epochs[5]["id"], grid={"alpha": {"count": 3}}, **choices)
    assert words in result["caption"]


def test_repeats_give_a_mean_and_a_band(service: Service, epochs: list[dict[str, Any]]) -> None:
    grid = {"alpha": {"count": 3}}
    spec = {"kind": "slice", "checkpoint": epochs[5]["id"], "grid": grid}
    together = finished(service, **spec, seed=3, repeats=2)
    single = [np.array(finished(service, **spec, seed=seed)["losses"]) for seed in (3, 4)]
    assert np.array(together["losses"]) == pytest.approx(np.mean(single, axis=0))
    assert np.array(together["extra"]["lowest_losses"]) == pytest.approx(np.minimum(*single))
    answer = service.api.post("/jobs", json={**spec, "repeats": 2, "also": "test"})
    assert answer.status_code == 422


@pytest.mark.parametrize("source", ["gradient", "eigenvectors"])
def test_a_slice_follows_the_directions_of_the_loss(
    service: Service, epochs: list[dict[str, Any]], source: str
) -> None:
    grid = {"alpha": {"min": -0.1, "max": 0.1, "count": 3}}
    result = finished(service, kind="slice", checkpoint=epochs[2]["id"], grid=grid, directions=source)
    assert result["provenance"]["seed"] is None
    assert source[:8] in result["caption"]


def test_bfloat16_is_audited_against_float32(service: Service, epochs: list[dict[str, Any]]) -> None:
    grid = {"alpha": {"count": 7}, "beta": {"count": 5}}
    spec = {"kind": "surface", "checkpoint": epochs[5]["id"], "grid": grid}
    job = service.submit(**spec, subset=SUBSET, precision="bfloat16")
    result = checked(service, job)
    log = service.api.get(f"/jobs/{job}/log").json()["items"]
    warned = [line["text"] for line in log if line["level"] == "warning"]
    assert warned == ([f"bfloat16: {EMULATED}."] if emulated("bfloat16", torch.device("cpu")) else [])
    exact = np.array(finished(service, **spec)["losses"])
    assert result["provenance"]["audit"]["points"] >= 25
    assert np.array(result["losses"]) == pytest.approx(exact, rel=0.1)
    assert "bfloat16" in result["caption"]


def test_the_papers_hdf5_has_rows_along_y(service: Service, epochs: list[dict[str, Any]], tmp_path: Path) -> None:
    grid = {"alpha": {"count": 4}, "beta": {"count": 3}}
    job_id = service.submit(kind="surface", checkpoint=epochs[5]["id"], grid=grid, subset=SUBSET)
    service.wait(job_id)
    file = tmp_path / "surface.h5"
    file.write_bytes(service.api.get(f"/jobs/{job_id}/result", params={"format": "h5"}).content)
    with h5py.File(file) as content:
        assert content["train_loss"].shape == (3, 4)
        assert content["train_loss"][:].T.tolist() == service.result(job_id)["losses"]
