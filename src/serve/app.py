"""The routes of the face service.

A similarity is a cosine, higher is nearer; boxes and landmarks are in pixels of the photo as
sent, upright, x before y.  Of several faces the large and central one counts.  Errors are
{"error": code, "detail": line for people}.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
from fastapi import FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from ..embedding.vectors import cosine
from .answers import Comparison, Embedded, FaceAnswer, Match, Person, SearchAnswer
from .gate import Access, Gate
from .limits import Limits
from .metrics import Metrics
from .people import People, checked_name
from .photos import Photo, decode_photo
from .recognizer import Batcher, Found, Recognizer
from .refusal import Refusal

DECODERS = 2  # photos decoded at a time; bounds the memory that large ones take
MAX_BATCH = 16
PAGE_FILES = {"/": "index.html", "/style.css": "style.css", "/page.js": "page.js"}
WithCrop = Annotated[bool, Query(description="also give the aligned crop, as a PNG data URL")]


@dataclass(frozen=True)
class Settings:
    """threshold: cosine from which on two faces count as one person.  web: folder of the page."""

    threshold: float
    model: str
    web: Path
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)


def create_app(recognizer: Recognizer, people: People, settings: Settings) -> FastAPI:
    """Return the ASGI application."""
    metrics, limits = Metrics(), settings.limits
    metrics.people.set_function(lambda: len(people))
    decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
    batcher = Batcher(recognizer, MAX_BATCH, metrics.batch_size.observe)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()
        decoders.shutdown()

    app = FastAPI(title="arcface_mxnet", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Gate, limits=limits, access=settings.access, metrics=metrics)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)

    async def recognise(uploads: list[UploadFile]) -> list[tuple[Photo, Found]]:
        if len(uploads) > limits.photos:
            raise Refusal(413, "too_many_photos", f"a request may have {limits.photos} photos")
        loop = asyncio.get_running_loop()

        async def one(upload: UploadFile) -> tuple[Photo, Found]:
            data = await upload.read()
            photo = await loop.run_in_executor(decoders, decode_photo, data, limits)
            return photo, await batcher(photo)

        # Wait for all, though one fails: what goes on must count as in progress.
        answers = await asyncio.gather(*map(one, uploads), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    @app.post("/embed")
    async def embed(image: UploadFile, crop: WithCrop = False) -> Embedded:
        """Give the face of a photo and its embedding, unit length."""
        ((photo, found),) = await recognise([image])
        face = _face(photo, found, crop)
        return Embedded(**face.model_dump(), embedding=found.embedding.tolist())

    @app.post("/compare")
    async def compare(left: UploadFile, right: UploadFile, crop: WithCrop = False) -> Comparison:
        """Tell whether two photos show one person."""
        (one, found), (other, other_found) = await recognise([left, right])
        similarity = cosine(found.embedding, other_found.embedding)
        return Comparison(
            similarity=similarity,
            squared_l2=2 - 2 * similarity,
            threshold=settings.threshold,
            same=similarity >= settings.threshold,
            left=_face(one, found, crop),
            right=_face(other, other_found, crop),
        )

    @app.post("/enroll", status_code=201)
    async def enroll(name: Annotated[str, Form()], image: list[UploadFile]) -> Person:
        """Store one or several photos of a person; all of them or, if one fails, none."""
        name = checked_name(name)
        embeddings = [found.embedding for _, found in await recognise(image)]
        count = await asyncio.to_thread(people.add, name, embeddings)
        return Person(name=name, photos=count)

    @app.post("/search")
    async def search(
        image: UploadFile,
        limit: Annotated[int, Query(ge=1, le=100)] = 5,
        crop: WithCrop = False,
    ) -> SearchAnswer:
        """Give the enrolled people who are nearest, best first."""
        ((photo, found),) = await recognise([image])
        nearest = await asyncio.to_thread(people.search, found.embedding, limit)
        matches = [
            Match(name=name, similarity=value, same=value >= settings.threshold)
            for name, value in nearest
        ]
        face = _face(photo, found, crop)
        return SearchAnswer(**face.model_dump(), threshold=settings.threshold, matches=matches)

    @app.get("/people")
    async def enrolled() -> list[Person]:
        """List everyone who is enrolled."""
        names = await asyncio.to_thread(people.names)
        return [Person(name=name, photos=count) for name, count in names.items()]

    @app.delete("/people/{name:path}", status_code=204)
    async def forget(name: str) -> None:
        """Delete a person and all their embeddings."""
        await asyncio.to_thread(people.remove, checked_name(name))

    @app.get("/health")
    async def health() -> dict:
        return {"status": "ok", "model": settings.model, "threshold": settings.threshold}

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    for path, name in PAGE_FILES.items():
        app.get(path, include_in_schema=False)(_page(settings.web / name))
    return app


def _page(file: Path):
    async def page() -> FileResponse:
        return FileResponse(file)

    return page


def _face(photo: Photo, found: Found, crop: bool) -> FaceAnswer:
    return FaceAnswer(
        width=photo.width,
        height=photo.height,
        num_faces=found.num_faces,
        box=found.face.box.tolist(),
        landmarks=found.face.landmarks.tolist(),
        score=found.face.score,
        crop=_data_url(found.crop) if crop else None,
    )


def _data_url(bgr) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", bgr)[1]).decode()


async def _refused(request: Request, refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "bad_request", "detail": "; ".join(faults[:5])}, 422)


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": "bad_request", "detail": str(error.detail)}, error.status_code)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    detail = "a fault of the service; its log tells more"
    return JSONResponse({"error": "fault", "detail": detail}, 500)
