"""Jobs of a network that is large for its worker: computed another way within the limit, or failed with the figures."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.support.service import Service, start_service

WIDTH = 2000  # 65 MB of weights, of which the engine would take 1.5 GB
SPEC: dict[str, Any] = {"kind": "slice", "grid": {"alpha": {"count": 3}}, "subset": {"count": 20}}


def large() -> bytes:
    """A chain of linear layers for the digits."""
    torch.manual_seed(0)
    widths = [64, *[WIDTH] * 5, 10]
    layers: list[nn.Module] = []
    for one, other in pairwise(widths):
        layers += [nn.Linear(one, other), nn.ReLU()]
    file = io.BytesIO()
    torch.save(nn.Sequential(*layers[:-1]).state_dict(), file)
    return file.getvalue()


def job_of(service: Service, content: bytes, state: str) -> dict[str, Any]:
    checkpoint = service.upload(content, "large.pt")
    architecture = next(one["label"] for one in checkpoint["candidates"] if "ReLU" in one["label"])
    job_id = service.submit(**SPEC, checkpoint=checkpoint["id"], architecture=architecture)
    return service.wait(job_id, state, seconds=250)


def test_it_is_computed_within_the_memory_of_a_job_or_refused_with_the_figures(tmp_path: Path) -> None:
    content = large()
    for limit, state in ((1_250_000_000, "done"), (600_000_000, "failed")):
        service = start_service(tmp_path / state, workers=1, worker_memory_bytes=str(limit))
        try:
            job = job_of(service, content, state)
            if state == "failed":
                assert "GB of weights in float32; its landscape needs about" in job["error"], job["error"]
            else:
                facts = service.result(job["id"])["provenance"]
                assert "of memory available" in facts["memory"]
                assert facts["engine"] == {"engine": "plain"}
        finally:
            service.stop()
