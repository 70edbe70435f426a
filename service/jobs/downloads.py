"""A result as a file to download, in any format of `landscape.formats`."""

from landscape.errors import LandscapeError
from landscape.formats import FORMATS
from landscape.result import Result

from ..errors import InvalidError

ENDINGS = tuple(FORMATS)


def as_file(result: Result, ending: str, *, height: str, array: str) -> tuple[bytes, str]:
    """The bytes of a file and its media type.

    Raises:
        InvalidError: this result cannot be written in this format, or a library for it is not installed.
    """
    try:
        return result.to_bytes(ending, height=height, array=array), FORMATS[ending].media
    except LandscapeError as error:
        raise InvalidError(str(error), field="format") from None
