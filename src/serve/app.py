"""The application: routes, errors, and what goes on beside them.

A similarity is a cosine, higher is nearer; boxes and landmarks are in pixels of the photo as
sent, upright, x before y.  Of several faces the large and central one counts.  Errors are
{"error": code, "detail": line for people}.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .answers import Health
from .gate import Gate
from .health import HealthCheck
from .metrics import Metrics
from .openapi import ALWAYS, describe, errors
from .page import page_paths, page_routes
from .people import People
from .pipeline import Pipeline
from .recognizer import Recognizer
from .refusal import Refusal
from .routes import Service, routes
from .settings import Settings

LOG_SECONDS = 5.0  # after which changes are in the store's file itself
CODES = {404: "not_found", 405: "wrong_method"}


def create_app(recognizer: Recognizer, people: People, settings: Settings) -> FastAPI:
    """Return the ASGI application."""
    metrics = Metrics()
    metrics.people.set_function(lambda: len(people))
    pipeline = Pipeline(recognizer, settings.limits, metrics)
    service = Service(pipeline, people, settings)
    health = HealthCheck(pipeline, people)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pipeline.start()
        ended = asyncio.Event()
        keeping = asyncio.create_task(_empty_log(service, ended))
        yield
        ended.set()  # to cancel it would be in vain while the store works: in_store() stays
        await keeping
        await pipeline.stop()
        service.store_threads.shutdown()
        health.close()

    app = FastAPI(
        title="arcface_mxnet", docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False, lifespan=lifespan,
    )  # fmt: skip
    app.add_middleware(
        Gate, limits=settings.limits, access=settings.access, metrics=metrics,
        open_paths=frozenset(page_paths(settings.web)),
    )  # fmt: skip
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)
    for router in (routes(service), _state_routes(app, metrics, health, settings)):
        app.include_router(router, prefix="/v1")
        app.include_router(router, include_in_schema=False)  # as they were before
    app.include_router(page_routes(settings.web))
    describe(app, has_token=bool(settings.access.token))
    return app


def _state_routes(
    app: FastAPI, metrics: Metrics, health: HealthCheck, settings: Settings
) -> APIRouter:
    """Return the routes that tell of the service itself."""
    router = APIRouter()

    async def state() -> tuple[Health, bool]:
        parts = await health.parts()
        wrong = [f"{part} {told}" for part, told in parts.items() if told != "ok"]
        status = "; ".join(wrong) or "ok"
        found = Health(
            status=status, model=settings.model, threshold=settings.threshold, parts=parts
        )
        return found, not wrong

    @router.get("/health", responses={503: {"model": Health}, **errors(403, 404, 405, 431, 500)})
    async def is_healthy(response: Response) -> Health:
        """Tell whether the recognizer, the store and the disk can do their work; 503 if not."""
        found, is_well = await state()
        response.status_code = 200 if is_well else 503
        return found

    @router.get("/ready", responses={503: {"model": Health}, **errors(403, 404, 405, 431, 500)})
    async def is_ready(response: Response) -> Health:
        """Tell whether a photo sent now would be taken on; 503 while as many wait as may."""
        found, is_well = await state()
        if is_well and metrics.active >= settings.limits.waiting:
            found.status, is_well = f"busy: {metrics.active} requests are in progress", False
        response.status_code = 200 if is_well else 503
        return found

    @router.get("/metrics", responses={200: {"content": {"text/plain": {}}}, **errors(*ALWAYS)},
                response_class=Response)  # fmt: skip
    async def prometheus() -> Response:
        """Give figures for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    return router


async def _empty_log(service: Service, ended: asyncio.Event) -> None:
    """Bring changes into the store's file soon after they were made, until the service ends."""
    while not ended.is_set():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), LOG_SECONDS)
            return
        await service.in_store(service.people.empty_log)


async def _refused(request: Request, refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "bad_request", "detail": "; ".join(faults[:5])}, 422)


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    body = {"error": CODES.get(error.status_code, "bad_request"), "detail": str(error.detail)}
    return JSONResponse(body, error.status_code, error.headers)


async def _fault(request: Request, error: Exception) -> JSONResponse:
    detail = "a fault of the service; its log tells more"
    return JSONResponse({"error": "fault", "detail": detail}, 500)
