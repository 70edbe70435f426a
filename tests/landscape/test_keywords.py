"""A misspelt option, or value of an option, is answered with the near one."""

import asyncio
import inspect
import pydoc
from typing import Any, TypedDict, Unpack

import pytest

from landscape.errors import LandscapeError, UnknownNameError, UnknownOptionError, did_you_mean
from landscape.keywords import checks_keywords


class Options(TypedDict, total=False):
    loss: str
    normalization: str


class More(Options, total=False):
    seed: int


@checks_keywords
def evaluated(first: int, /, second: int = 2, *rest: int, grid: int = 3, **options: Unpack[More]) -> tuple[Any, ...]:
    """The arguments that it got."""
    return first, second, rest, grid, options


@checks_keywords
async def awaited(*, grid: int) -> int:
    return grid


@checks_keywords
class Network:
    def __init__(self, *, width: int = 1):
        self.width = width

    @classmethod
    def square(cls, *, width: int) -> "Network":
        return cls(width=width)

    @staticmethod
    def double(*, width: int) -> int:
        return 2 * width

    def wider(self, *, times: int) -> int:
        return self.width * times

    def described(self, **facts: int) -> dict[str, int]:
        return {"width": self.width, **facts}


@checks_keywords
class Deep(Network):
    """Inherits everything."""


CALLS = {
    "a function": (
        lambda: evaluated(1, gird=3),  # type: ignore[call-arg]
        "evaluated() has no option 'gird'. Did you mean 'grid'? It takes: second, grid, loss, normalization, seed.",
    ),
    "an option of a TypedDict": (
        lambda: evaluated(1, normalisation="filter"),  # type: ignore[call-arg]
        "evaluated() has no option 'normalisation'. Did you mean 'normalization'? "
        "It takes: second, grid, loss, normalization, seed.",
    ),
    "an option that resembles none": (
        lambda: evaluated(1, zzz=3),  # type: ignore[call-arg]
        "evaluated() has no option 'zzz'. It takes: second, grid, loss, normalization, seed.",
    ),
    "a parameter that is only positional": (
        lambda: evaluated(1, first=3),  # type: ignore[call-arg]
        "evaluated() has no option 'first'. It takes: second, grid, loss, normalization, seed.",
    ),
    "a coroutine": (
        lambda: asyncio.run(awaited(grids=3)),  # type: ignore[call-arg]
        "awaited() has no option 'grids'. Did you mean 'grid'? It takes: grid.",
    ),
    "a constructor": (
        lambda: Network(widht=3),  # type: ignore[call-arg]
        "Network() has no option 'widht'. Did you mean 'width'? It takes: width.",
    ),
    "a method": (
        lambda: Network().wider(time=3),  # type: ignore[call-arg]
        "Network.wider() has no option 'time'. Did you mean 'times'? It takes: times.",
    ),
    "a class method": (
        lambda: Network.square(wide=3),  # type: ignore[call-arg]
        "Network.square() has no option 'wide'. It takes: width.",
    ),
    "a static method": (
        lambda: Network.double(widths=3),  # type: ignore[call-arg]
        "Network.double() has no option 'widths'. Did you mean 'width'? It takes: width.",
    ),
    "an inherited constructor": (
        lambda: Deep(widht=3),  # type: ignore[call-arg]
        "Deep() has no option 'widht'. Did you mean 'width'? It takes: width.",
    ),
    "an inherited method": (
        lambda: Deep().wider(time=3),  # type: ignore[call-arg]
        "Deep.wider() has no option 'time'. Did you mean 'times'? It takes: times.",
    ),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_an_unknown_keyword_is_answered_with_the_near_one(call: Any, message: str) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        call()
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, LandscapeError)


def test_a_call_without_a_mistake_goes_through() -> None:
    assert evaluated(1, 5, 6, grid=7, loss="mse", seed=8) == (1, 5, (6,), 7, {"loss": "mse", "seed": 8})
    assert asyncio.run(awaited(grid=4)) == 4
    assert Network.square(width=3).wider(times=2) == Network.double(width=3) == 6
    assert isinstance(Deep.square(width=3), Deep)
    assert Network().described(depth=2) == {"width": 1, "depth": 2}


def test_a_missing_argument_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        evaluated()  # type: ignore[call-arg]


def test_signature_help_and_kind_of_a_checked_function_stay() -> None:
    assert str(inspect.signature(evaluated)).startswith(
        "(first: int, /, second: int = 2, *rest: int, grid: int = 3, **"
    )
    assert "The arguments that it got." in pydoc.render_doc(evaluated)
    assert inspect.iscoroutinefunction(awaited)
    assert str(inspect.signature(Network)) == "(*, width: int = 1)"


def test_a_function_that_takes_any_keyword_cannot_be_checked() -> None:
    def anything(**options: Any) -> None:
        """Takes any keyword."""

    with pytest.raises(TypeError, match=r"anything takes any keyword. Annotate its \*\* with Unpack"):
        checks_keywords(anything)


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("filters", ("layer", "filter"), "filter"),
        ("Filter", ("layer", "filter"), "filter"),
        ("fliter", ("layer", "filter"), "filter"),
        ("cross-entropy", ("mse", "cross_entropy"), "cross_entropy"),
        ("flaot32", ("float64", "float32"), "float32"),
        ("float16", ("float64", "float32"), None),
        ("noise", ("filter", "none"), None),
        (3, ("filter", "none"), None),
        ("filter", (), None),
    ],
)
def test_a_near_name_is_one_that_may_have_been_meant(name: object, known: tuple[str, ...], near: str | None) -> None:
    assert did_you_mean(name, known) == (f" Did you mean {near!r}?" if near else "")


def test_an_unknown_value_is_answered_with_all_and_the_near_one() -> None:
    error = UnknownNameError("normalization", "filters", ("filter", "layer"))
    assert str(error) == "Unknown normalization 'filters'. Known: filter, layer. Did you mean 'filter'?"
