"""Parts of the OpenAPI document that FastAPI does not derive from the routes: errors, binary bodies, events."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from .schemas import ErrorBody, ProgressEvent, StateEvent, TileEvent

MEANING = {
    400: "The request is malformed: its host, its body or its encoding.",
    401: "No credential, or one that is not valid (any more).",
    403: "The token lacks the scope, or the resource belongs to all users.",
    404: "There is no resource with this id that you may see.",
    408: "The upload was too slow.",
    409: "The resource is in a state that does not allow this.",
    410: "The upload has expired.",
    412: "Another version of the tus protocol.",
    413: "Larger than the limit.",
    415: "Not the media type that this takes.",
    422: "A value is not valid; `field` names it.",
    423: "Another request appends to this upload.",
    429: "A limit of this user or address is reached; `Retry-After` says when to retry.",
    460: "The bytes do not have the checksum they were sent with.",
    500: "Stored bytes do not have their digest.",
    503: "The service or a part of it is busy or unavailable; `Retry-After` says when to retry.",
    507: "The disk or your quota is full.",
}
EVENTS: dict[str, type[BaseModel]] = {"state": StateEvent, "progress": ProgressEvent, "tile": TileEvent}
_REFERENCE = "#/components/schemas/{model}"

Responses = dict[int | str, dict[str, Any]]


def errors(*codes: int, body: bool = True) -> Responses:
    """For `responses=` of a route: the errors it answers with. HEAD has no body."""
    content = {"model": ErrorBody} if body else {}
    return {code: {"description": MEANING[code], **content} for code in codes}


def takes_bytes(media_type: str = "application/octet-stream") -> dict[str, Any]:
    """For `openapi_extra=` of a route that reads its body as a stream."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"required": True, "content": content}}


def sends_events() -> Responses:
    """For `responses=` of a route that answers with events: the name of an event determines the JSON of its data."""
    named = [_event_schema(name, model.__name__) for name, model in EVENTS.items()]
    return {200: {"content": {"text/event-stream": {"itemSchema": {"oneOf": named}}}}}


def _event_schema(name: str, model: str) -> dict[str, Any]:
    content = {"$ref": _REFERENCE.format(model=model)}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    fields = {"event": {"const": name}, "id": {"type": "string"}, "data": data}
    return {"type": "object", "required": ["event", "data"], "properties": fields, "additionalProperties": False}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, built once; with the models of events, which FastAPI cannot find in the types of the routes."""
    if app.openapi_schema is None:
        schemas = FastAPI.openapi(app)["components"]["schemas"]
        for model in EVENTS.values():
            shape = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
            schemas |= shape.pop("$defs", {}) | {model.__name__: shape}
    return app.openapi_schema or {}
