"""Every setting of the service, read from LANDSCAPE_… variables; an invalid value is an error at start.

Secrets are read from the files that …_FILE variables name.
"""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

WORKER_ID = "LANDSCAPE_WORKER_ID"  # variable: the id of the row that a worker writes


class Settings(BaseSettings):
    """Passed to child processes as environment variables, so that all processes agree."""

    model_config = SettingsConfigDict(env_prefix="LANDSCAPE_", extra="ignore", frozen=True)

    data: Path = Field(Path("landscape-data"), description="Folder of the database, the store and the private broker")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    database_password_file: Path | None = Field(None, description="File with the password for `database`")
    broker_password_file: Path | None = Field(None, description="File with the password for `broker`")
    database: str | None = Field(None, description="SQLAlchemy URL; default: SQLite in the data folder")
    broker: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey that Celery uses")

    store: str | None = Field(
        None,
        description="Folder, s3://bucket/prefix or https://service for stored bytes; default: `store` in the data "
        "folder",
    )
    store_endpoint: str | None = Field(None, description="URL of an S3-compatible service; default: Amazon's")
    store_region: str | None = Field(None, description="Region of the bucket, if the service needs one")
    store_access_key: str | None = Field(
        None, description="By default, boto3 looks for credentials in its usual places"
    )
    store_secret_key_file: Path | None = Field(None, description="File with the secret key that belongs to it")
    store_token_file: Path | None = Field(None, description="File with a token of scope `work`, for a store at an API")
    cache_bytes: int = Field(
        20 << 30,
        ge=0,
        description="Size of the cache of files from a remote store; the same again for prepared data sets",
    )

    max_upload_bytes: int = Field(16 << 30, ge=1, description="Largest upload")
    min_free_bytes: int = Field(
        1 << 30, ge=0, description="Bytes of the disk that uploads, and files made by reading them, leave free"
    )
    max_uploads: int = Field(
        256, ge=1, description="Concurrent uploads; one user gets at most half of them, so that others get in"
    )
    upload_patience_seconds: float = Field(30, gt=0, description="Timeout for an upload that makes no progress")
    upload_slowest_bytes: int = Field(1 << 10, ge=1, description="Smallest rate of an upload, bytes per second")
    upload_keep_hours: float = Field(
        24, gt=0, description="A resumable upload without activity is deleted after this time"
    )
    keep_results_days: float | None = Field(
        None, gt=0, description="Finished jobs are deleted after this time; default: never"
    )
    keep_uploads_days: float | None = Field(
        None, gt=0, description="Uploads that no job has used for this long are deleted; default: never"
    )
    collect_after_seconds: float = Field(
        3600, ge=0, description="Stored bytes without a reference are kept for this long"
    )

    access: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether clients need a token; auto: yes, but for programs of the account that runs the service "
        "when it is bound to the loopback address",
    )
    admin_token_file: Path | None = Field(
        None, description="File with the administrator's token; by default, one is created and shown at the first start"
    )
    allowed_hosts: str | None = Field(
        None,
        description="Host names under which the service answers, separated by commas, * for any; default: any with "
        "access control, otherwise only those of this machine",
    )
    session_hours: float = Field(168, gt=0, le=8760, description="The page asks for the token again after this time")
    max_unfinished_jobs: int = Field(1000, ge=1, description="Queued and running jobs of one user")
    max_job_points: int = Field(1_002_001, ge=1, description="Grid points of one job")
    max_user_bytes: int = Field(
        200 << 30, ge=0, description="Bytes of all uploads of one user, and of the files made by reading them"
    )
    max_user_uploads: int = Field(200, ge=1, description="Concurrent uploads of one user")
    max_user_unfinished_uploads: int = Field(
        500, ge=1, description="Resumable uploads of one user that have begun and are not complete"
    )
    max_user_event_streams: int = Field(600, ge=1, description="Concurrent event streams of one user")

    max_connections: int = Field(
        4096,
        ge=1,
        description="Connections to one API process, at most half of the files it may open; one address gets at most "
        "half of them",
    )
    max_event_streams: int = Field(
        1000, ge=1, description="Concurrent event streams; one user gets at most half of them, so that others get in"
    )
    max_answers: int = Field(
        12,
        ge=1,
        description="Large answers (results, files, summary numbers) being made; four times as many small ones",
    )
    answer_cache_bytes: int = Field(1 << 30, ge=0, description="Size of the cache of large answers, in the data folder")
    client_patience_seconds: float = Field(
        30, gt=0, description="A client that neither reads nor sends anything for this long is disconnected"
    )

    max_log_bytes: int = Field(
        16 << 20,
        ge=1 << 16,
        description="A log file of `landscape up` is started over at this size; three earlier ones are kept",
    )

    reader_memory_bytes: int = Field(
        6 << 30,
        ge=1 << 28,
        description="Memory of the process that reads a large file; a small one gets 2 GiB and twice its size",
    )
    reader_seconds: float = Field(
        30, gt=0, description="Computing time of the process that reads a file; ten times as long by the clock"
    )

    lease_seconds: float = Field(
        8, gt=0, description="A tile is requeued this long after the last heartbeat of its worker"
    )
    tile_seconds: float = Field(2, gt=0, description="Target computing time of a tile")
    tile_deadline_seconds: float = Field(
        600,
        gt=0,
        description="Computing time of one tile: a job that needs more fails. Preparing a job and tiles of curvature "
        "maps may take three times as long; on a busy machine, so may the clock",
    )
    worker_silence_seconds: float = Field(
        30, ge=10, description="A worker that does not respond for this long is killed"
    )
    worker_memory_bytes: int | None = Field(
        None,
        ge=1 << 28,
        description="Memory of a worker and of the job that it computes; default: this worker's share of 80 % of the "
        "machine's",
    )
    sandbox: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Walls of the kernel around each upload and job: those that it has, or refuse to start without "
        "Landlock and seccomp (required; on a GPU, seccomp), or none but limits",
    )
    max_attempts: int = Field(3, ge=1, description="Times a tile is started before its job fails")
    threads: int = Field(1, ge=1, description="Threads of one worker process")

    @field_validator("database_password_file", "broker_password_file", "store_secret_key_file", "store_token_file")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            secret(file)
        return file

    @field_validator("database", "broker")
    @classmethod
    def _with_password(cls, url: str | None, info: ValidationInfo) -> str | None:
        file = info.data.get(f"{info.field_name}_password_file")
        return with_password(url, secret(file)) if url and file else url

    @field_validator("data")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return folder.resolve()

    @property
    def database_url(self) -> str:
        """The address of the database for SQLAlchemy; by default SQLite in the data folder."""
        return self.database or f"sqlite:///{self.data / 'landscape.sqlite'}"

    def store_secret(self) -> str | None:
        """The secret key of the store, read from its file."""
        return self.store_secret_key_file.read_text().strip() if self.store_secret_key_file else None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host == "localhost" or self.host.startswith("127.") or self.host == "::1"

    @property
    def trusts_own_account(self) -> bool:
        """Whether programs of the account that runs the service need no token, unlike those of other accounts."""
        return self.access == "auto" and self.loopback

    @property
    def protected(self) -> bool:
        """Whether every client needs a token."""
        return self.access == "on" or (self.access == "auto" and not self.loopback)

    def admin_token(self) -> str:
        """The administrator's token, read from its file."""
        assert self.admin_token_file is not None
        return self.admin_token_file.read_text().strip()

    def environment(self) -> dict[str, str]:
        """The variables that give a child process the same settings."""
        values: dict[str, Any] = self.model_dump(exclude_none=True)
        return {f"LANDSCAPE_{name.upper()}": str(value) for name, value in values.items()}


def secret(file: Path) -> str:
    """The secret in a file.

    Raises:
        ValueError: the file cannot be read, or is empty.
    """
    try:
        found = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"this file with a secret cannot be read ({type(error).__name__})") from None
    if not found:
        raise ValueError("this file with a secret is empty")
    return found


def with_password(url: str, password: str) -> str:
    """The URL with this password, in place of any other.

    >>> with_password("postgresql://lab@db/landscape", "a/b")
    'postgresql://lab:a%2Fb@db/landscape'
    """
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{host}"))
