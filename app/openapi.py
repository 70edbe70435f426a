"""The OpenAPI document, completed by what follows from the routes: who may call, which errors can come, raw bodies.

Imports fastapi. Never describes what a route does: its own docstring and types do.
"""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from .prefix import API
from .schemas import ErrorBody, ProgressEvent, StateEvent, TileEvent

MEANING = {
    400: "The request is not one: its host, its body or its encoding.",
    401: "No token, or one that is not valid here (any more).",
    403: "The token lacks the scope, or the thing belongs to everybody.",
    404: "There is nothing of this kind with this id that you may see.",
    408: "Too little arrived for too long.",
    409: "The thing is in a state where this cannot be done.",
    410: "It was here, and its time is over.",
    412: "Another version of the tus protocol.",
    413: "Larger than the limit.",
    415: "Not the media type that this takes.",
    422: "A field has a value that cannot be; `field` names it.",
    423: "Another request appends to this upload.",
    429: "More at once than one user may have; `Retry-After` says when to ask again.",
    460: "The bytes that arrived do not have the checksum they were sent with.",
    500: "Stored bytes are not what their digest says.",
    503: "The service or a part of it is busy or away; `Retry-After` says when to ask again.",
    507: "The disk or your share of it is full.",
}
TUS = {408, 409, 410, 412, 413, 415, 423, 429, 460, 507}
EVENTS: dict[str, type[BaseModel]] = {"state": StateEvent, "progress": ProgressEvent, "tile": TileEvent}
_REFERENCE = "#/components/schemas/{model}"
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_PIECE = {"content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(path, method, operation)
        schemas = document["components"]["schemas"]
        models: list[type[BaseModel]] = [ErrorBody, *EVENTS.values()]
        for model in models:
            shape = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
            schemas |= shape.pop("$defs", {}) | {model.__name__: shape}
        for left_over in ("HTTPValidationError", "ValidationError"):
            schemas.pop(left_over, None)
    return app.openapi_schema or {}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    if method in ("put", "patch"):
        operation["requestBody"] = {"required": True, **(_BYTES if method == "put" else _PIECE)}
    if path.endswith("/events"):
        operation["responses"]["200"]["content"] = {"text/event-stream": {"itemSchema": _event_schema()}}
    for code in sorted(_errors(path, method, operation)):
        operation["responses"][str(code)] = {"description": MEANING[code], **_body(method)}


def _event_schema() -> dict[str, Any]:
    """One server-sent event: its name says which JSON its data holds."""
    return {"oneOf": [_named_event(name, model.__name__) for name, model in EVENTS.items()]}


def _named_event(name: str, model: str) -> dict[str, Any]:
    content = {"$ref": _REFERENCE.format(model=model)}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    fields = {"event": {"const": name}, "id": {"type": "string"}, "data": data}
    return {"type": "object", "required": ["event", "data"], "properties": fields, "additionalProperties": False}


def _body(method: str) -> dict[str, Any]:
    if method == "head":
        return {}
    return {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}}


def _errors(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """Every status but success that this operation can answer with."""
    codes = {400, 503}
    if operation.get("security"):
        codes |= {401, 403}
    if operation.get("parameters") or "requestBody" in operation:
        codes |= {422}
    if "{" in path:
        codes |= {404, 409}
    if method in ("post", "delete"):
        codes |= {403}
    if path in (f"{API}/session", f"{API}/shared"):
        codes |= {401, 413, 429}
    if method == "put":
        codes |= {408, 413, 429, 507}
    if path.startswith(f"{API}/uploads"):
        codes |= TUS
    if method == "post":
        codes |= {409, 413, 429}
    if path.endswith(("/events", "/result", "/numbers")) or path.startswith(f"{API}/store"):
        codes |= {404, 409, 429, 500}
    return codes
