"""The log of a job, for the user who submitted it; a line is written in the transaction it describes.

Never contains a path, a traceback or a host name.
"""

from sqlalchemy.orm import Session

from .tables import LogLine


def write_line(session: Session, job_id: str, text: str, level: str = "info") -> None:
    """Add a line; `level` is info, warning or error."""
    session.add(LogLine(job_id=job_id, level=level, text=text))


def plural(count: int, thing: str) -> str:
    """ "1 point", "25 points"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
