"""Every setting of the service, read from LANDSCAPE_… variables; a setting that makes no sense refuses to start.

Imports pydantic-settings only. Never reads a file of secrets by itself and never writes anything.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Passed between our processes as environment variables, so that all of them agree."""

    model_config = SettingsConfigDict(env_prefix="LANDSCAPE_", extra="ignore", frozen=True)

    data: Path = Field(Path("landscape-data"), description="Folder of the database, the store and the private broker")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    database: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data folder where absent")
    broker: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey that Celery uses")

    max_upload_bytes: int = Field(16 << 30, ge=1, description="Largest upload")
    min_free_bytes: int = Field(1 << 30, ge=0, description="Uploads are refused when the disk has less than this left")
    reader_memory_bytes: int = Field(6 << 30, ge=1 << 28, description="Address space of the process that reads a file")
    reader_seconds: float = Field(30, gt=0, description="Wall time of the process that reads a file")

    lease_seconds: float = Field(8, gt=0, description="A tile is offered again this long after its worker's last beat")
    tile_seconds: float = Field(2, gt=0, description="Work a tile should hold")
    tile_deadline_seconds: float = Field(3600, gt=0, description="A worker is killed when one tile takes this long")
    worker_silence_seconds: float = Field(30, ge=10, description="A worker that does not answer this long is killed")
    worker_memory_bytes: int | None = Field(
        None, ge=1 << 28, description="A worker that holds more is killed; as much as there is where absent"
    )
    max_attempts: int = Field(3, ge=1, description="Times a tile is started before its job fails")
    threads: int = Field(1, ge=1, description="Threads of one worker process")

    @field_validator("data")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return folder.resolve()

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'landscape.sqlite'}"

    @property
    def store(self) -> Path:
        """Folder of immutable bytes, named by their SHA-256."""
        return self.data / "store"

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these same settings."""
        values: dict[str, Any] = self.model_dump(exclude_none=True)
        return {f"LANDSCAPE_{name.upper()}": str(value) for name, value in values.items()}
