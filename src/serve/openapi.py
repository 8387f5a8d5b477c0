"""What /openapi.json says beside the answers: forms, errors, and the bearer scheme."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from .answers import ErrorAnswer
from .names import NAME_LENGTH

_WORDS = {
    400: "malformed, or cut off",
    401: "no token, or a wrong one",
    403: "another name of the service, or a page of another site",
    404: "nobody of that name, no such photo, no such address",
    405: "another method is asked for",
    408: "too slow to arrive",
    409: "the store is full, or what an Idempotency-Key enrolled is deleted since",
    413: "too many bytes, pixels or photos",
    415: "no form, or no photo",
    422: "damaged, no face, an unsure face, several people, a bad name or option",
    431: "too many header fields",
    500: "a fault of the service",
    503: "busy, or not done in time; nothing was stored",
    507: "the store cannot be written",
}
ALWAYS = (400, 401, 403, 404, 405, 431, 500, 503)
OF_FORMS = (*ALWAYS, 408, 413, 415, 422)
OF_CHANGES = (*ALWAYS, 408, 409, 413, 422, 507)
OPEN = ("/v1/health", "/v1/ready")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return `responses` of a route that may be refused with these."""
    return {s: {"model": ErrorAnswer, "description": _WORDS[s]} for s in sorted(set(statuses))}


def form(*photos: str, many: bool = False, name: bool = False) -> dict[str, Any]:
    """Return `openapi_extra` of a route that takes a form with these photos."""
    photo: dict[str, Any] = {"type": "string", "format": "binary"}
    if many:
        photo = {"type": "array", "items": photo, "minItems": 1}
    properties: dict[str, Any] = dict.fromkeys(photos, photo)
    if name:
        properties["name"] = {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI, *, has_token: bool) -> None:
    """Let the application tell its security scheme, and where it is not asked for."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = written()
            schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes["bearer"] = {"type": "http", "scheme": "bearer"}
            schema["security"] = [{"bearer": []}] if has_token else [{}, {"bearer": []}]
            for path in OPEN:
                schema["paths"][path]["get"]["security"] = []
        return app.openapi_schema

    app.openapi = openapi
