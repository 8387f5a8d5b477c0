"""The page's files, from memory, and only those of its folder."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
START = "index.html"


def page_paths(web: Path) -> dict[str, Path]:
    """Return the files of the page by the path under which they are asked for."""
    files = sorted(file for file in web.iterdir() if file.suffix in TYPES)
    return {"/" if file.name == START else f"/{file.name}": file for file in files}


def page_routes(web: Path) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path, file in page_paths(web).items():
        router.get(path)(_answer(file.read_bytes(), TYPES[file.suffix]))
    return router


def _answer(content: bytes, media_type: str):
    async def page() -> Response:
        return Response(content, media_type=media_type)

    return page
