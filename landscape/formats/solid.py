"""Surfaces as solids for 3-D printing, STL and OBJ, in millimeters, closed on all sides ("watertight").

Points that are not finite or not computed become a pit in the base plate: the solid stays closed, and the hole visible.
"""

import numpy as np
from numpy.typing import NDArray
from trimesh import Trimesh

from ..errors import FormatError
from ..plots.heights import drawable, fitting, height_of
from ..results.arrays import Array, Arrays
from .picture import PictureOptions

WIDTH = 100.0  # mm, of the longer side
RELIEF = 40.0  # mm, from the lowest to the highest loss
BASE = 3.0  # mm, thickness below the lowest loss
PIT = 1.0  # mm, thickness below a hole


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """The solid below the surface that `picture` describes.

    Raises:
        FormatError: the result is a slice, which has no volume.
        UnknownNameError: the height or the array is not known.
    """
    part = drawable(result)
    if len(part.betas) < 2:
        raise FormatError(f"A slice is a line: .{ending} files hold the solid of a surface. Use svg, png or csv.")
    height = fitting([part], picture.height, picture.array)
    vertices, faces = solid(part.alphas, part.betas, height_of(part, height, picture.array))
    content = Trimesh(vertices, faces, process=False).export(file_type=ending)
    return content.encode() if isinstance(content, str) else bytes(content)


def solid(alphas: Array, betas: Array, z: Array) -> tuple[Array, NDArray[np.int64]]:
    """Vertices (v, 3) in mm and triangles (t, 3), counter-clockwise seen from outside: top, walls, floor.

    The top is the grid; the floor is a fan around its middle, since only its rim has to meet the walls.
    """
    n, m = z.shape
    scale = WIDTH / max(np.ptp(alphas), np.ptp(betas))
    x, y = np.meshgrid((alphas - alphas[0]) * scale, (betas - betas[0]) * scale, indexing="ij")
    top = np.stack([x, y, _millimeters(z)], axis=2).reshape(-1, 3)
    numbers = np.arange(n * m).reshape(n, m)
    rim = np.concatenate([numbers[:-1, 0], numbers[-1, :-1], numbers[:0:-1, -1], numbers[0, :0:-1]])
    floor = top[rim] * [1, 1, 0]
    low = n * m + np.arange(len(rim))
    middle = np.array([[x.max() / 2, y.max() / 2, 0.0]])
    a, b, c, d = (part.ravel() for part in (numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]))
    after, low_after = np.roll(rim, -1), np.roll(low, -1)
    center = np.full(len(rim), n * m + len(rim))
    triangles = [(a, b, c), (a, c, d), (rim, low, low_after), (rim, low_after, after), (low, center, low_after)]
    faces = np.concatenate([np.stack(corners, axis=1) for corners in triangles])
    return np.concatenate([top, floor, middle]), faces


def _millimeters(z: Array) -> Array:
    finite = z[np.isfinite(z)]
    if not len(finite):
        return np.full(z.shape, PIT)
    extent = float(np.ptp(finite)) or 1.0
    return np.where(np.isfinite(z), BASE + RELIEF * (z - finite.min()) / extent, PIT)
