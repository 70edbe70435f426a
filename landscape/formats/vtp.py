"""Results as VTP, for ParaView and other programs built on VTK: quads over (α, β), or the line of a slice.

Written without a library: the lightest one that writes VTP is VTK itself (140 MB). Points that are not finite or not
computed are left out together with their cells: a hole.
"""

import base64
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..plots.heights import drawable, fitting, height_of
from ..results.arrays import Arrays
from .picture import PictureOptions


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """Points (α, β, z) with z as `picture` selects, cells between four finite neighbors, and every array.

    Raises:
        UnknownNameError: the height or the array is not known.
    """
    part = drawable(result)
    z = height_of(part, fitting([part], picture.height, picture.array), picture.array)
    kept = np.isfinite(z)
    numbered = np.where(kept, np.cumsum(kept.ravel()).reshape(kept.shape) - 1, -1)
    alphas, betas = np.meshgrid(part.alphas, part.betas, indexing="ij")
    points = np.stack([alphas[kept], betas[kept], z[kept]], axis=1)
    line = len(part.betas) == 1
    cells = _segments(numbered[:, 0]) if line else _quads(numbered)
    root = ElementTree.Element(
        "VTKFile", type="PolyData", version="1.0", byte_order="LittleEndian", header_type="UInt64"
    )
    counts = {"NumberOfLines": len(cells) if line else 0, "NumberOfPolys": 0 if line else len(cells)}
    numbers = {"NumberOfPoints": len(points), "NumberOfVerts": 0, "NumberOfStrips": 0, **counts}
    words = {name: str(number) for name, number in numbers.items()}
    piece = ElementTree.SubElement(ElementTree.SubElement(root, "PolyData"), "Piece", words)
    data = ElementTree.SubElement(piece, "PointData", Scalars=picture.array)
    for name in part.columns:
        _array(data, part.array(name)[kept], name)
    _array(ElementTree.SubElement(piece, "Points"), points, "Points", NumberOfComponents="3")
    cell = ElementTree.SubElement(piece, "Lines" if line else "Polys")
    _array(cell, cells, "connectivity")
    _array(cell, np.arange(1, len(cells) + 1) * cells.shape[1], "offsets")
    return b'<?xml version="1.0"?>\n' + ElementTree.tostring(root)


def _quads(numbered: NDArray[np.int64]) -> NDArray[np.int64]:
    """(q, 4): the corners of every cell of the grid that has all four, counter-clockwise seen from above."""
    corners = [numbered[:-1, :-1], numbered[1:, :-1], numbered[1:, 1:], numbered[:-1, 1:]]
    cells = np.stack([corner.ravel() for corner in corners], axis=1)
    return cells[(cells >= 0).all(axis=1)]


def _segments(numbered: NDArray[np.int64]) -> NDArray[np.int64]:
    cells = np.stack([numbered[:-1], numbered[1:]], axis=1)
    return cells[(cells >= 0).all(axis=1)]


def _array(parent: ElementTree.Element, numbers: NDArray[Any], name: str, **more: str) -> None:
    """Numbers in base64, preceded by their byte count: not every version of VTK reads NaN as text."""
    floating = numbers.dtype.kind == "f"
    content = np.ascontiguousarray(numbers, dtype="<f8" if floating else "<i8").tobytes()
    words = {"type": "Float64" if floating else "Int64", "Name": name, "format": "binary", **more}
    node = ElementTree.SubElement(parent, "DataArray", words)
    node.text = base64.b64encode(len(content).to_bytes(8, "little") + content).decode()
