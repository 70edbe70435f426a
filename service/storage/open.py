"""Which store the settings name: a folder, a bucket of an S3-compatible service, or the API of a service elsewhere.

Imports store and settings; a back end only where it is used. Never looks into what is stored.
"""

from ..settings import Settings, secret
from .folder_store import FolderStore
from .store import Store


def open_store(settings: Settings, *, min_free_bytes: int | None = None) -> Store:
    """The store of this service.

    Args:
        min_free_bytes: left on the disk at least; the setting of this name where absent. Workers ask for none: what
            was taken in is also read.
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
