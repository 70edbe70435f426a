"""Errors of the service that a person can cause, each with a stable code; app/main.py alone maps codes to HTTP.

Imports nothing. Never holds a path, a traceback or a secret in its message.
"""


class ServiceError(Exception):
    """Something asked of the service cannot be done, for a reason the asker can mend."""

    code = "service_error"

    def __init__(self, message: str, *, field: str | None = None):
        super().__init__(message)
        self.field = field


class NotFoundError(ServiceError):
    """Nothing of this kind has this id."""

    code = "not_found"


class ConflictError(ServiceError):
    """The thing is in a state where this cannot be done."""

    code = "conflict"


class InvalidError(ServiceError):
    """A field has a value that cannot be."""

    code = "invalid"


class TooLargeError(ServiceError):
    """An upload is over the limit."""

    code = "too_large"


class NoSpaceError(ServiceError):
    """The disk is nearly full: nothing more is taken."""

    code = "no_space"


class DamagedError(ServiceError):
    """Stored bytes are not what their digest says."""

    code = "damaged"


class UnavailableError(ServiceError):
    """Something the service needs does not answer; asking again later may help."""

    code = "unavailable"


class BusyError(ServiceError):
    """The service does as much of this as it can; asking again later helps."""

    code = "busy"


class SlowError(ServiceError):
    """The other side sends too slowly to wait for."""

    code = "too_slow"


class GoneError(ServiceError):
    """It was here, and its time is over."""

    code = "gone"


class UnauthorizedError(ServiceError):
    """Nobody we know asks."""

    code = "unauthorized"


class ForbiddenError(ServiceError):
    """Somebody we know asks for what they may not do."""

    code = "forbidden"


class TooManyError(ServiceError):
    """One user asks for more of this than one user may have; asking again later helps."""

    code = "too_many"

    def __init__(self, message: str, *, seconds: int, field: str | None = None):
        super().__init__(message, field=field)
        self.seconds = seconds  # after which asking again makes sense


class QuotaError(ServiceError):
    """What a user stores would be over the limit."""

    code = "quota"
