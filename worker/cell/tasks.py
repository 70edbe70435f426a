"""What a cell does with the messages of its worker: a task by name, and an answer even after an error."""

import io
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from landscape.engine.out_of_memory import is_out_of_memory
from landscape.errors import LandscapeError

from ..gpu import is_gpu_lost
from . import messages

_SAID = 4000  # characters of a traceback for the worker's log


class Answer(NamedTuple):
    """The answer to a message."""

    head: dict[str, Any]
    body: bytes = b""
    file: int | None = None  # descriptor, which is closed once it has been sent


Task = Callable[[messages.Message], Answer]


class Tasks(ABC):
    """The tasks of one kind of cell."""

    @property
    @abstractmethod
    def tasks(self) -> dict[str, Task]:
        """What a worker may ask, by name."""

    def answer(self, message: messages.Message) -> Answer:
        """The answer: {"refused": sentence} for an error of the request, {"failed": type} for any other error."""
        try:
            return self.tasks[message.head["task"]](message)
        except LandscapeError as error:
            return Answer({"refused": str(error)})
        except Exception as error:
            said = "".join(traceback.format_exception(error))[-_SAID:]
            known = {"memory": is_out_of_memory(error), "gpu": is_gpu_lost(error)}
            return Answer({"failed": type(error).__name__, "said": said, **known})


def opened(message: messages.Message) -> io.BufferedReader:
    """The file that came with a message.

    Raises:
        MessageError: none did.
    """
    if message.file is None:
        raise messages.MessageError("A file was expected.")
    return os.fdopen(message.file, "rb")
