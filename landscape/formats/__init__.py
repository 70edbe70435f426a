"""Result files: one module per format, and `FORMATS`, the list of them. For direction files see directions/.

The module of a format, with the library it needs, is imported when a file is written or read. A new format is one
module with `write(result, ending, picture)` (and `read(content, name)`), and one entry in `FORMATS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import FormatError, MissingLibraryError, UnknownNameError
from ..results.arrays import Arrays, by_digest, with_digest
from .picture import PictureOptions


@dataclass(frozen=True)
class Format:
    """A file format of results."""

    ending: str
    media: str  # media type, for HTTP
    module: str  # of this package
    reads: bool = False  # whether a result can be read from such a file
    drawn: bool = False  # whether it is a picture, to which `PictureOptions` apply
    extra: str = ""  # the extra in pyproject.toml, if it needs an optional library


FORMATS = {
    one.ending: one
    for one in (
        Format("json", "application/json", "jsontext", reads=True),
        Format("npz", "application/octet-stream", "npz", reads=True),
        Format("csv", "text/csv; charset=utf-8", "csvtable", reads=True),
        Format("h5", "application/x-hdf5", "paper", reads=True, extra="compute"),
        Format("html", "text/html; charset=utf-8", "page", drawn=True, extra="figures"),
        Format("png", "image/png", "chart", drawn=True, extra="figures"),
        Format("svg", "image/svg+xml", "chart", drawn=True, extra="figures"),
        Format("vtp", "application/vnd.vtk.polydata+xml", "vtp", drawn=True),
        Format("stl", "model/stl", "solid", drawn=True, extra="solids"),
        Format("obj", "model/obj", "solid", drawn=True, extra="solids"),
    )
}


def write(result: Arrays, ending: str, picture: PictureOptions | None = None) -> bytes:
    """The content of a file of the format called `ending`.

    Raises:
        UnknownNameError: the format, the height or the array is not known.
        FormatError: the format cannot hold this result, or is not a picture although `picture` is given.
        MissingLibraryError: the library that writes it is not installed.

    >>> from landscape.grid import Grid
    >>> result = Arrays.empty(Grid.line(3))
    >>> result.put([(0, 0), (2, 0)], [[0.5, 1.0, 0.0], [2.5, 0.75, 0.0]])
    >>> print(write(result, "csv").decode(), end="")
    alpha,beta,loss,accuracy,standard_error
    -1.0,0.0,0.5,1.0,0.0
    1.0,0.0,2.5,0.75,0.0
    >>> read(write(result, "csv"), "slice.csv").losses.tolist()
    [[0.5], [2.5]]
    """
    chosen = _known(ending)
    if picture not in (None, PictureOptions()) and not chosen.drawn:
        drawn = ", ".join(one for one, each in FORMATS.items() if each.drawn)
        raise FormatError(f"A .{ending} file holds numbers: 'height' and 'array' apply to pictures ({drawn}) only.")
    if chosen.reads and result.provenance:
        result = with_digest(result)
    content: bytes = _function(chosen, "write")(result, ending, picture or PictureOptions())
    return content


def read(content: bytes, name: str) -> Arrays:
    """The result in a file called `name`, whose ending names the format.

    Its self-check fails if values were changed since the file was written.

    Raises:
        UnknownNameError: the format is not known, or is write-only, since its files hold too little.
        FormatError: the file holds no result.
        MissingLibraryError: the library that reads it is not installed.
    """
    ending = name.rpartition(".")[2]
    readable = [one for one, known in FORMATS.items() if known.reads]
    if ending not in readable:
        raise UnknownNameError("format to read", ending, readable)
    result: Arrays = _function(FORMATS[ending], "read")(content, name)
    return by_digest(result)


def _known(ending: str) -> Format:
    if ending not in FORMATS:
        raise UnknownNameError("format", ending, tuple(FORMATS))
    return FORMATS[ending]


def _function(known: Format, name: str) -> Callable[..., Any]:
    try:
        return getattr(import_module(f"{__name__}.{known.module}"), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f".{known.ending} files", error.name or "", known.extra) from error
