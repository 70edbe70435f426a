"""The gallery: comparisons that are shipped."""

from fastapi import APIRouter

from service.jobs import gallery

from ..deps import Reader
from ..openapi import errors
from ..schemas import Comparison, Gallery

router = APIRouter(prefix="/gallery", tags=["gallery"], responses=errors(401, 403))


@router.get("")
def get_gallery(service: Reader) -> Gallery:
    """Empty unless the service was started with --demo."""
    with service.database.reading() as session:
        found = gallery.comparisons(session)
    return Gallery(comparisons=[Comparison.model_validate(comparison) for comparison in found])
