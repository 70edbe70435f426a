"""`Result`: the result of a computation, local or fetched from a service, with figures and files."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from .errors import FormatError, MissingLibraryError
from .formats import read, write
from .formats.picture import PictureOptions
from .grid import Range
from .keywords import checks_keywords
from .results.agreement import Agreement, agreement
from .results.arrays import Arrays
from .results.summary import summary, summary_line

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure


@checks_keywords
class Result(Arrays):
    """A slice, a surface, or another grid of numbers around a network, completely or partly computed.

    Its data are described at `results.arrays.Arrays`; `losses[i, j]` belongs to `(alphas[i], betas[j])` everywhere.
    """

    def figure(self, *, height: str = "auto", array: str = "losses") -> "Figure":
        """A Plotly figure with caption and self-check; see plots.figures.figure.

        Raises:
            UnknownNameError: the height or the array is not known.
        """
        from .plots.figures import figure

        return figure(self, height=height, array=array)

    def contour(self, *, array: str = "losses") -> "Figure":
        """Contours as in the paper, a Plotly figure; see plots.figures.contour.

        Raises:
            UnknownNameError: the array is not known.
        """
        from .plots.figures import contour

        return contour(self, array=array)

    def to_dataframe(self) -> "DataFrame":
        """A pandas data frame with a row per computed point; see `table`.

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise MissingLibraryError("Data frames", "pandas", "tables") from error
        return DataFrame(self.table())

    def to_bytes(self, ending: str, *, height: str = "auto", array: str = "losses") -> bytes:
        """The content of a file in the format called `ending`; `height` and `array` are for pictures.

        Raises:
            UnknownNameError, FormatError, MissingLibraryError: see `formats.write`.
        """
        return write(self, ending, PictureOptions(height, array))

    def save(self, path: "str | Path", *, height: str = "auto", array: str = "losses") -> None:
        """Write the result to `path`, whose ending chooses the format. Raises as `to_bytes`."""
        path = Path(path)
        path.write_bytes(self.to_bytes(path.suffix.lstrip("."), height=height, array=array))

    @classmethod
    def load(cls, path: "str | Path") -> Self:
        """Read a result from a file: .npz, .json or .h5 that `save` wrote, an .h5 of the authors' code, or a .csv.

        A .csv holds only the numbers of computed points, and a file of the authors' code only losses and accuracies.

        Raises:
            UnknownNameError: the ending is not that of a format that can be read.
            FormatError: the file cannot be read or holds something else.
            MissingLibraryError: the library that reads the format is not installed.
        """
        path = Path(path)
        try:
            return cls(**vars(read(path.read_bytes(), path.name)))
        except OSError as error:
            raise FormatError(f"{path.name} cannot be read: {error.strerror or error}.") from error

    def refine(
        self,
        factor: int = 1,
        *,
        alpha: Range | None = None,
        beta: Range | None = None,
        repeats: int | None = None,
        model: Any = None,
        images: Any = None,
        labels: Any = None,
        progress: "bool | Callable[[int, int], None]" = True,
        **given: Any,
    ) -> Self:
        """More points, another range or one region, or more seeds: a new result that reuses every point of this one.

        `provenance["reused"]` says how many points; those that an interrupted result lacks are computed too. Ctrl-C
        returns what is computed so far.

        Args:
            factor: of parts that every interval of the grid is cut into: 2 makes about four times as many points.
            alpha, beta: ranges, wider or narrower than those of this result. Each end is moved outwards to the next
                coordinate of the new spacing, so that the points inside are on the new grid.
            repeats: number of seeds in all; the mean over those that are there and further ones.
            model, images, labels, given: as in `reproduce`; not needed in the process that computed the result.
            progress: True for a bar, False for none, or a function of (points done, total).

        Raises:
            DifferentSettingsError: weights, samples, versions or another setting are not those of the result.
            GridError, LandscapeError: nothing is to be added, or it is not possible; or the model or samples are
                missing, and the message says what to pass.

        >>> import torch
        >>> import landscape as ls
        >>> model, images, labels = torch.nn.Linear(4, 3), torch.eye(4), torch.tensor([0, 1, 2, 0])
        >>> found = ls.surface(model, images, labels, grid=ls.Grid.square(5), progress=False)
        >>> found.refine(2, progress=False).losses.shape
        (9, 9)
        >>> found.refine(5, alpha=(-0.5, 0.5), beta=(0, 0.5), progress=False).losses.shape  # a region
        (11, 6)
        >>> found.refine(alpha=(-2, 2), repeats=3, progress=False).provenance["repeated"]["seeds"]
        [0, 1, 2]
        """
        more = {"alpha": alpha, "beta": beta, "repeats": repeats}
        samples = {"model": model, "images": images, "labels": labels}
        # By its name: what computes is above results, and imports torch.
        found: Self = import_module("landscape.refine").refine(
            self, factor, **more, **samples, progress=progress, **given
        )
        return found

    def reproduce(
        self,
        model: Any = None,
        images: Any = None,
        labels: Any = None,
        *,
        progress: "bool | Callable[[int, int], None]" = True,
        **given: Any,
    ) -> Agreement:
        """Run the same request again, and say whether weights, data, versions and values agree.

        Bit for bit on the same kind of machine with the same versions; elsewhere up to rounding, see
        `results.deviation`. Points that an interrupted result lacks are not computed.

        Args:
            model, images, labels: what it was computed from, as it was passed. Not needed in the process that computed
                it, which still has them.
            given: the other checkpoints by their role, such as `end=…` or `epochs=…`; and options that a file cannot
                hold: a loss that is a function, given directions, further samples.

        Raises:
            DifferentInputsError: the weights, the samples or the directions are not those of the result, by their
                SHA-256 and the facts in the provenance; nothing is computed.
            LandscapeError: something is missing; the message says what to pass.
        """
        # By its name: what computes is above results, and imports torch.
        found: Agreement = import_module("landscape.reproduce").reproduce(
            self, model, images, labels, progress=progress, **given
        )
        return found

    def difference(self, other: Arrays) -> Agreement:
        """Whether `other` is the same result: inputs, settings, environment and values, bit for bit or by how much."""
        return agreement(self, other)

    def __repr__(self) -> str:
        return summary_line(self)

    def __str__(self) -> str:
        return summary(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a small picture, caption and self-check, without network or scripts."""
        from .plots.notebook import mime_bundle

        return mime_bundle(self)
