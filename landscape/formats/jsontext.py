"""Results as JSON: the dictionary of `Result.to_json`, which the service returns too.

Null means not computed or not finite; `non_finite` distinguishes the two.
"""

import json

from ..errors import FormatError
from ..results.arrays import Arrays
from .picture import PictureOptions


def write(result: Arrays, ending: str, picture: PictureOptions) -> bytes:
    """The result as JSON: null where a value is not computed or not finite."""
    return json.dumps(result.to_json(), indent=1, allow_nan=False).encode()


def read(content: bytes, name: str) -> Arrays:
    """The result in JSON that `write` or the service wrote.

    Raises:
        FormatError: it is not JSON, or not of a result.
    """
    try:
        found = json.loads(content)
    except ValueError as error:
        raise FormatError(f"{name} cannot be read as JSON: {error}.") from error
    try:
        return Arrays.from_json(found)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
