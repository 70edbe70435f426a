"""The client of a service, for notebooks and programs: `ls.Client`, and `ls.AsyncClient` with the same methods.

Every call is a generator of effects (send this request, wait, read the next line); a client performs the effects.

flow.py           the effects, and retries with back-off around them
calls.py          most calls
uploads.py        resumable uploads
events.py         the events of a job
options.py        keyword arguments as the body of `POST /jobs`
models.py         the service's answers, as frozen dataclasses
http.py           conversion to and from httpx's requests and responses
local_state.py    tokens by server and unfinished uploads, in the user's own folders
sync.py           the blocking client
aio.py            the awaitable client, generated from sync.py by generate_aio.py
"""

from .aio import AsyncClient, AsyncJob
from .errors import JobEndedError, RefusedError, RejectedError, UnreachableError
from .models import Checkpoint, Dataset, Event, JobInfo
from .sync import Client, Job

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Checkpoint",
    "Client",
    "Dataset",
    "Event",
    "Job",
    "JobEndedError",
    "JobInfo",
    "RefusedError",
    "RejectedError",
    "UnreachableError",
]
