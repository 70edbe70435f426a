"""A store in a bucket of an S3-compatible service: objects named by their digest, with verified copies on this disk.

Files are streamed, never held in memory, and an object appears only when it is complete. boto3 is imported only when a
bucket is used.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import DamagedError, InvalidError, NotFoundError, UnavailableError
from .cache import Cache
from .files import BLOCK, is_digest, require_digest
from .store import DAMAGED, GONE, Store, StoredFile

_PART = 16 << 20  # bytes; larger files are uploaded in parts of this size
_PARTS_EXPIRE = timedelta(days=1)  # age at which the parts of an unfinished upload are removed: its process died
_SWEEP_SECONDS = 3600.0
_MISSING = {"404", "NoSuchKey", "NotFound"}


class S3Store(Store):
    """One object `prefix/<sha256>` for each file; files that were read or written stay in a bounded local cache."""

    def __init__(
        self,
        address: str,
        local: Path,
        *,
        client: Callable[..., Any],
        cache_bytes: int,
        max_bytes: int,
        min_free_bytes: int = 0,
    ):
        """
        Args:
            address: s3://bucket/prefix; the prefix may be left out.
            local: folder of this machine for incoming files and for the cache.
            client: makes a boto3 client with the time limit and attempts it is given, see `client_factory`.
        """
        super().__init__(local, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
        self.bucket, self.prefix = _bucket_and_prefix(address)
        self.cache = Cache(local / "cache", cache_bytes)
        self._client = client(timeout_seconds=60.0, attempts=4)
        self._next_sweep = 0.0  # for parts of unfinished uploads
        self._quick = client(timeout_seconds=3.0, attempts=1)  # for calls inside a database transaction

    def path(self, sha256: str) -> Path:
        return self.cache.find(sha256) or self._fetch(sha256)

    def find(self, sha256: str) -> StoredFile | None:
        key = self._key(sha256)
        try:
            with _translated_errors():
                facts = self._quick.head_object(Bucket=self.bucket, Key=key)
        except NotFoundError:
            return None
        return StoredFile(sha256, facts["ContentLength"], _age(facts["LastModified"]))

    def _remove(self, sha256: str) -> None:
        with _translated_errors():
            self._quick.delete_object(Bucket=self.bucket, Key=self._key(sha256))
        self.cache.remove(sha256)

    def stored(self) -> Iterator[StoredFile]:
        """Every committed file, in no particular order.

        Raises:
            UnavailableError: the object store does not answer, or refuses the request.
            NotFoundError: it has no such bucket.
        """
        with _translated_errors():
            for page in self._pages("list_objects_v2"):
                for one in page.get("Contents", []):
                    name = one["Key"].removeprefix(self.prefix)
                    if is_digest(name):
                        yield StoredFile(name, one["Size"], _age(one["LastModified"]))

    def usable(self) -> bool:
        try:
            with _translated_errors():
                self._quick.head_bucket(Bucket=self.bucket)
        except (NotFoundError, UnavailableError):
            return False
        return True

    def sweep(self) -> None:
        """Remove unfinished files of dead processes and, once an hour, the parts of unfinished uploads to the bucket.

        Raises:
            UnavailableError: the object store does not answer, or refuses the request.
            NotFoundError: it has no such bucket.
        """
        super().sweep()
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS
        with _translated_errors():
            for page in self._pages("list_multipart_uploads"):
                for one in page.get("Uploads", []):
                    if datetime.now(UTC) - one["Initiated"] > _PARTS_EXPIRE:
                        self._client.abort_multipart_upload(
                            Bucket=self.bucket, Key=one["Key"], UploadId=one["UploadId"]
                        )

    def _commit(self, path: Path, sha256: str) -> None:
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=2)
        with _translated_errors():
            self._client.upload_file(str(path), self.bucket, self._key(sha256), Config=config)
        self.cache.add(path, sha256)

    def _fetch(self, sha256: str) -> Path:
        with self.receive() as incoming, _translated_errors():
            body = self._client.get_object(Bucket=self.bucket, Key=self._key(sha256))["Body"]
            for block in body.iter_chunks(BLOCK):
                incoming.write(block)
            if incoming.finish() != sha256:
                raise DamagedError(DAMAGED)
            return self.cache.add(incoming.path, sha256)

    def _key(self, sha256: str) -> str:
        return self.prefix + require_digest(sha256)

    def _pages(self, operation: str) -> Iterator[dict[str, Any]]:
        yield from self._client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=self.prefix)


def client_factory(
    endpoint: str | None, access_key: str | None, secret_key: str | None, region: str | None
) -> Callable[..., Any]:
    """A function that makes boto3 clients; without keys they use boto3's usual sources (environment, profile, machine).

    Raises:
        InvalidError: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise InvalidError("A store in S3 needs boto3: pip install 'loss-atlas[s3]'.") from None

    def client(*, timeout_seconds: float, attempts: int) -> Any:
        config = Config(
            connect_timeout=3,
            read_timeout=timeout_seconds,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint else None,  # few servers have a host name per bucket
            request_checksum_calculation="when_required",  # not every compatible service supports the newer checksums;
            response_checksum_validation="when_required",  # ours is the SHA-256, verified at every read
        )
        keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
        return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config, **keys)

    return client


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn errors of boto3 and of the object store into ours; addresses and keys they mention stay in the log."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise NotFoundError(GONE) from error
        raise UnavailableError("The object store refused the request. Ask the operator to look at its log.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise UnavailableError("The object store does not answer. Try again in a moment.") from error


def _bucket_and_prefix(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""


def _age(written: datetime) -> float:
    return (datetime.now(UTC) - written).total_seconds()
