"""The client of a service, for notebooks and programs: `ls.Client`, and `ls.AsyncClient` with the same words.

exchange.py    what a call is before anything is sent: requests out, replies in; patience with a service that is away
choices.py     keyword arguments as the body of a request for a job
answers.py     what the service answers, as frozen dataclasses
calls.py       every call but these two: sending.py (uploads that resume), following.py (a job as it happens)
known.py       tokens by server and unfinished uploads, in the user's own folders
sync.py        the blocking face; unblocked.py the awaitable one; both only perform what calls ask for

Imports numpy, httpx and the torch-free modules of landscape/. Never computes a loss.
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
