"""Errors of the client; the message is the service's own if it sent one."""

from ..errors import LandscapeError


class UnreachableError(LandscapeError):
    """The service does not answer, or the connection broke."""

    code = "unreachable"

    def __init__(self, message: str, *, sent: bool = False):
        """`sent`: the request may have reached the service."""
        super().__init__(message)
        self.sent: bool = sent


class RefusedError(LandscapeError):
    """The service answered with an error; `code`, `field` and the message are the service's."""

    def __init__(self, message: str, *, code: str, status: int, field: str | None = None):
        super().__init__(message)
        self.code: str = code
        self.status: int = status
        self.field: str | None = field


class RejectedError(LandscapeError):
    """The service read an uploaded file and cannot use it; the message says why."""

    code = "rejected"


class JobEndedError(LandscapeError):
    """A job failed or was cancelled; what it computed can still be fetched."""

    def __init__(self, message: str, *, code: str, job_id: str):
        super().__init__(message)
        self.code: str = code  # "failed" or "cancelled"
        self.job_id: str = job_id
