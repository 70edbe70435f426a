"""Opens the store that the settings name: a folder, a bucket of an S3-compatible service, or the API of another host.

A back end is imported only where it is used.
"""

from ..settings import Settings, secret
from .folder_store import FolderStore
from .store import Store


def open_store(settings: Settings, *, min_free_bytes: int | None = None) -> Store:
    """The store of this service.

    Args:
        min_free_bytes: to keep free on the disk; by default the setting of this name. Workers keep none free for copies
            of stored files, so that jobs go on; for sanitized files they ask `service.jobs.quotas.sanitized_room`.

    Raises:
        InvalidError: a library that this store needs is not installed.
        ValueError: the file with the store's token cannot be read, or is empty.
    """
    limits = {
        "max_bytes": settings.max_upload_bytes,
        "min_free_bytes": settings.min_free_bytes if min_free_bytes is None else min_free_bytes,
    }
    local = settings.data / "store"
    if settings.store is None:
        return FolderStore(local, **limits)
    if settings.store.startswith("s3://"):
        from .s3 import S3Store, client_factory

        client = client_factory(
            settings.store_endpoint, settings.store_access_key, settings.store_secret(), settings.store_region
        )
        return S3Store(settings.store, local, client=client, cache_bytes=settings.cache_bytes, **limits)
    if settings.store.startswith(("http://", "https://")):
        from .api_store import ApiStore

        token = secret(settings.store_token_file) if settings.store_token_file else None
        return ApiStore(settings.store, local, token=token, cache_bytes=settings.cache_bytes, **limits)
    return FolderStore(settings.data / settings.store, **limits)
