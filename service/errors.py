"""Errors of the service that a client or the operator can cause, each with a stable code.

app/main.py alone maps codes to HTTP. A message never contains a path of the server, a traceback or a secret.
"""


class ServiceError(Exception):
    """A request cannot be carried out, for a reason that the client or the operator can correct."""

    code = "service_error"

    def __init__(self, message: str, *, field: str | None = None):
        super().__init__(message)
        self.field = field


class NotFoundError(ServiceError):
    """There is nothing of this kind with this id."""

    code = "not_found"


class ConflictError(ServiceError):
    """The resource is in a state in which this is not possible."""

    code = "conflict"


class InvalidError(ServiceError):
    """A field has an invalid value."""

    code = "invalid"


class TooLargeError(ServiceError):
    """An upload exceeds the size limit."""

    code = "too_large"


class NoSpaceError(ServiceError):
    """The disk is nearly full: no more uploads are accepted."""

    code = "no_space"


class DamagedError(ServiceError):
    """Stored bytes do not match their digest."""

    code = "damaged"


class UnavailableError(ServiceError):
    """The database, the store or the broker does not answer; a later retry may succeed."""

    code = "unavailable"


class BusyError(ServiceError):
    """The service is at its limit for this; a later retry succeeds."""

    code = "busy"


class SlowError(ServiceError):
    """The client sends too slowly."""

    code = "too_slow"


class GoneError(ServiceError):
    """The resource existed and has expired."""

    code = "gone"


class UnauthorizedError(ServiceError):
    """The client is not authenticated."""

    code = "unauthorized"


class ForbiddenError(ServiceError):
    """The client is authenticated but not permitted to do this."""

    code = "forbidden"


class TooManyError(ServiceError):
    """A rate limit or a limit per user is exceeded; a later retry succeeds."""

    code = "too_many"

    def __init__(self, message: str, *, seconds: int, field: str | None = None):
        super().__init__(message, field=field)
        self.seconds = seconds  # after which a retry can succeed


class QuotaError(ServiceError):
    """The stored bytes of a user would exceed their quota."""

    code = "quota"
