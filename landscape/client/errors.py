"""What can go wrong between a client and a service; every message is the server's own sentence where there is one.

Imports errors only. Never decides whether to try again: exchange.py does.
"""

from ..errors import LandscapeError


class UnreachableError(LandscapeError):
    """The service does not answer, or the connection broke."""

    code = "unreachable"

    def __init__(self, message: str, *, sent: bool = False):
        """`sent` says that the request may have arrived."""
        super().__init__(message)
        self.sent = sent


class RefusedError(LandscapeError):
    """The service answered that it will not; `code`, `field` and the sentence are the service's."""

    def __init__(self, message: str, *, code: str, status: int, field: str | None = None):
        super().__init__(message)
        self.code, self.status, self.field = code, status, field


class RejectedError(LandscapeError):
    """An uploaded file was read and cannot be used; the message says why."""

    code = "rejected"


class JobEndedError(LandscapeError):
    """A job ended otherwise than done; what it computed can still be fetched."""

    def __init__(self, message: str, *, code: str, job_id: str):
        super().__init__(message)
        self.code, self.job_id = code, job_id  # code: "failed" or "cancelled"
