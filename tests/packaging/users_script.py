"""A user's program, for type checkers: it is not run. Each says more or less than it should if a line below fails.

An ignored error is one that the checker must find: both are told to report an ignore that is not needed.
"""

from typing import assert_type

import numpy as np
import torch
from numpy.typing import NDArray

import landscape as ls

model = torch.nn.Linear(4, 3)
images, labels = torch.rand(8, 4), torch.arange(8) % 3

surface = ls.surface(model, images, labels, grid=ls.Grid.square(5), seed=1, normalization="filter", progress=False)
assert_type(surface, ls.Result)
assert_type(surface.losses, NDArray[np.float64])
assert_type(surface.save("surface.npz"), None)
assert_type(ls.slice(model, images, labels, grid=ls.Grid.line(5)), ls.Result)
assert_type(ls.interpolation(model, torch.nn.Linear(4, 3), images, labels), ls.Result)
assert_type(ls.curvature(model, images, labels, over="all", steps=20), ls.Result)
assert_type(ls.paired(model, images, labels, (0.0,), (1.0,)).difference, float)
assert_type(ls.shipped("resnet20-w8-skip"), torch.nn.Module)
assert_type(ls.Axis(-1, 1, 11).coordinates, tuple[float, ...])

ls.surface(model, images, labels, normalisation="filter")  # type: ignore
ls.surface(model, images, labels, seed="one")  # type: ignore
ls.Grid(gamma=ls.Axis())  # type: ignore
ls.surfase(model, images, labels)  # type: ignore


def on_a_service(client: ls.Client) -> ls.Result:
    job = client.surface("an id", dataset="digits", grid=ls.Grid.square(5), normalization="filter")
    client.surface("an id", normalisation="filter")  # type: ignore
    return job.wait(timeout=60)


async def while_others_run(client: ls.AsyncClient) -> ls.Result:
    job = await client.surface("an id", dataset="digits")
    return await job.wait()


try:
    print(ls.compare({"one": surface, "other": surface}))
except ls.LandscapeError as error:
    print(error)
