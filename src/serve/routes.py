"""The routes, and what each of them does."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
import hashlib
import json
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request, Response

from ..embedding.vectors import cosine
from .answers import (
    Comparison,
    Embedded,
    Enrolled,
    FaceAnswer,
    Match,
    Person,
    SearchAnswer,
    StoredPhoto,
    list_answer,
)
from .choosing import MAIN, chosen, face_answer, refuse_several, refuse_several_people
from .connections import client_of
from .forms import Form, parse_form
from .gate import BODY, DEADLINE
from .names import checked_name
from .openapi import ALWAYS, OF_CHANGES, OF_FORMS, errors, form
from .people import Change, NewPhoto, People
from .pipeline import Look, Pipeline
from .refusal import Refusal, ending
from .settings import Settings

LARGEST_ID = 2**63 - 1
WithCrop = Annotated[bool, Query(description="also give the aligned crop, as a PNG data URL")]
All = Annotated[bool, Query(description="give the embedding or the matches of every face")]
Chosen = Annotated[
    int, Query(ge=MAIN, le=255, description="which of `faces` is taken; -1: large and central")
]
Unsure = Annotated[
    list[Literal["uncertain"]], Query(description="uncertain: take faces that are doubtful, too")
]
Allowed = Annotated[
    list[Literal["uncertain", "several_faces", "several_people"]],
    Query(description="what is not to be refused"),
]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key", max_length=200, pattern="^[ -~]*$",
        description="a repeated request of the same key changes nothing, and is answered the same",
    ),
]  # fmt: skip
MOST_LISTED = 10_000  # in one page
NEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "schema": {"type": "string"},
                "description": 'the address of the next page, rel="next"; absent with the last',
            }
        }
    }
}
Name = Annotated[str, Path(description="NFC, percent-encoded UTF-8", min_length=1)]


class Service:
    """What the routes share.  store_thread: where changes and searches of people are done."""

    def __init__(self, pipeline: Pipeline, people: People, settings: Settings):
        self.pipeline, self.people, self.settings = pipeline, people, settings
        self.store_threads = ThreadPoolExecutor(2, thread_name_prefix="store")

    def form(self, request: Request) -> Form:
        return parse_form(request.headers.get("content-type", ""), request.scope[BODY])

    def change(self, request: Request, key: str, *what: Any) -> Change:
        """Return who changes what."""
        who = f"{client_of(request.client.host if request.client else '')}"
        told = json.dumps(what, ensure_ascii=True)
        return Change(
            who=f"{who}, {self.settings.access.name_of_token}",
            deadline=request.scope[DEADLINE],
            key=key,
            request=hashlib.sha256(told.encode()).hexdigest(),
        )

    async def in_store(self, work: Any, *arguments: Any) -> Any:
        """Run work(*arguments) in a thread, to its end: what is begun is told as it came out.

        Raises Refusal (503) if the service is being ended.
        """
        try:
            running = asyncio.get_running_loop().run_in_executor(
                self.store_threads, work, *arguments
            )
        except RuntimeError:  # the threads are gone
            raise ending() from None
        while True:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if running.cancelled():  # it had not begun, and never will
                    raise ending() from None

    async def matches(self, embedding: Any, limit: int) -> list[Match]:
        nearest = await self.in_store(self.people.search, embedding, limit)
        least = self.settings.threshold
        return [Match(name=name, similarity=s, same=s >= least) for name, s in nearest]

    async def one_photo(
        self, request: Request, face: int, allow: list[str], every: bool
    ) -> tuple[Look, int, list[Any]]:
        """Return the photo `image`, which face is taken, and its embedding or that of each face."""
        deadline = request.scope[DEADLINE]
        uploads = self.form(request).photos("image")
        (look,) = await self.pipeline.look(uploads, deadline)
        taken = chosen(look, face, allow)
        faces = look.sight.faces if every else [look.sight.faces[taken]]
        return look, taken, await self.pipeline.embed([seen.crop for seen in faces], deadline)


def routes(service: Service) -> APIRouter:
    """Return the routes that need photos or the store."""
    router, people, settings = APIRouter(), service.people, service.settings

    @router.post("/embed", responses=errors(*OF_FORMS), openapi_extra=form("image"))
    async def embed(
        request: Request,
        crop: WithCrop = False,
        all: All = False,
        face: Chosen = MAIN,
        allow: Unsure = [],  # noqa: B006 (FastAPI copies it)
    ) -> Embedded:
        """Give the faces of a photo, and the embedding of one, unit length, or of all."""
        look, taken, rows = await service.one_photo(request, face, allow, all)
        answer = face_answer(look, taken, crop=crop).model_dump()
        if all:
            for told, row in zip(answer["faces"], rows, strict=True):
                told["embedding"] = row.tolist()
        return Embedded(**answer, embedding=rows[taken if all else 0].tolist())

    @router.post("/compare", responses=errors(*OF_FORMS), openapi_extra=form("left", "right"))
    async def compare(
        request: Request,
        crop: WithCrop = False,
        left_face: Chosen = MAIN,
        right_face: Chosen = MAIN,
        allow: Unsure = [],  # noqa: B006
    ) -> Comparison:
        """Tell whether two photos show one person."""
        deadline = request.scope[DEADLINE]
        looks = await service.pipeline.look(service.form(request).photos("left", "right"), deadline)
        taken = [
            chosen(look, face, allow)
            for look, face in zip(looks, (left_face, right_face), strict=True)
        ]
        crops = [look.sight.faces[i].crop for look, i in zip(looks, taken, strict=True)]
        similarity = cosine(*await service.pipeline.embed(crops, deadline))
        left, right = (
            face_answer(look, i, crop=crop) for look, i in zip(looks, taken, strict=True)
        )
        return Comparison(
            similarity=similarity,
            squared_l2=2 - 2 * similarity,
            threshold=settings.threshold,
            same=similarity >= settings.threshold,
            left=left,
            right=right,
        )

    @router.post(
        "/enroll", status_code=201, responses=errors(*OF_FORMS, *OF_CHANGES),
        openapi_extra=form("image", many=True, name=True),
    )  # fmt: skip
    async def enroll(
        request: Request,
        allow: Allowed = [],  # noqa: B006
        face: Annotated[list[int], Query(description="of each photo, as face elsewhere")] = [],  # noqa: B006
        key: Key = "",
    ) -> Enrolled:
        """Store one or several photos of a person; all of them or, if one fails, none."""
        sent = service.form(request)
        name = checked_name(sent.text("name"))
        uploads = sent.photos("image", at_most=settings.limits.photos)
        numbers = _one_each(face, len(uploads))
        prints = [upload.sha256 for upload in uploads]
        change = service.change(request, key, "enroll", name, prints, sorted(set(allow)), face)
        known = await service.in_store(people.known_answer, change)
        if known is not None:
            return Enrolled(**known)
        looks = await service.pipeline.look(uploads, change.deadline)
        taken = [chosen(look, n, allow) for look, n in zip(looks, numbers, strict=True)]
        for look, number, i in zip(looks, numbers, taken, strict=True):
            if "several_faces" not in allow and number == MAIN:
                refuse_several(look, i)
        seen = [look.sight.faces[i] for look, i in zip(looks, taken, strict=True)]
        rows = await service.pipeline.embed([one.crop for one in seen], change.deadline)
        if "several_people" not in allow:
            enrolled = await service.in_store(people.embeddings, name)
            refuse_several_people(looks, rows, settings.threshold, enrolled)
        photos = [
            NewPhoto(row, look.photo.sha256, one.face.score)
            for row, look, one in zip(rows, looks, seen, strict=True)
        ]
        stored = await service.in_store(people.add, name, photos, change)
        faces: list[FaceAnswer] = [
            face_answer(look, i, crop=False) for look, i in zip(looks, taken, strict=True)
        ]
        return Enrolled(**stored, faces=faces)

    @router.post("/search", responses=errors(*OF_FORMS), openapi_extra=form("image"))
    async def search(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100)] = 5,
        crop: WithCrop = False,
        all: All = False,
        face: Chosen = MAIN,
        allow: Unsure = [],  # noqa: B006
    ) -> SearchAnswer:
        """Give the enrolled people who are nearest, best first; of one face or of each."""
        look, taken, rows = await service.one_photo(request, face, allow, all)
        found = [await service.matches(row, limit) for row in rows]
        answer = face_answer(look, taken, crop=crop)
        if all:
            for told, matches in zip(answer.faces, found, strict=True):
                told.matches = matches
        mine = found[taken if all else 0]
        return SearchAnswer(**answer.model_dump(), threshold=settings.threshold, matches=mine)

    @router.get("/people", response_model=list[Person], responses={**NEXT, **errors(*ALWAYS, 422)})
    async def enrolled(
        limit: Annotated[
            int | None, Query(ge=1, le=MOST_LISTED, description="at most so many; else everyone")
        ] = None,
        after: Annotated[
            str, Query(description="only names beyond this one", max_length=1000)
        ] = "",
    ) -> Response:
        """List who is enrolled, in the order of the code points of their names."""

        def listed() -> Response:
            names = people.names(after, limit and limit + 1)
            rows = [{"name": name, "photos": count} for name, count in names.items()]
            address = f"/v1/people?limit={limit}&after="
            return list_answer(rows, limit, lambda last: address + quote(last["name"], safe=""))

        return await service.in_store(listed)

    @router.delete("/people/{name:path}", status_code=204, responses=errors(*OF_CHANGES))
    async def forget(request: Request, name: Name, key: Key = "") -> None:
        """Delete a person and all their embeddings."""
        name = checked_name(name)
        change = service.change(request, key, "forget", name)
        await service.in_store(people.remove, name, change)

    @router.get(
        "/photos", response_model=list[StoredPhoto], responses={**NEXT, **errors(*ALWAYS, 422)}
    )
    async def photos(
        name: Annotated[str, Query(description="of the person", min_length=1)],
        limit: Annotated[
            int | None, Query(ge=1, le=MOST_LISTED, description="at most so many; else all")
        ] = None,
        after: Annotated[
            int, Query(ge=0, le=LARGEST_ID, description="only ids beyond this one")
        ] = 0,
    ) -> Response:
        """List the enrolled photos of a person, oldest first."""
        name = checked_name(name)

        def listed() -> Response:
            rows = people.photos(name, after, limit and limit + 1)
            address = f"/v1/photos?name={quote(name, safe='')}&limit={limit}&after="
            return list_answer(rows, limit, lambda last: f"{address}{last['id']}")

        return await service.in_store(listed)

    @router.delete("/photos/{number}", status_code=204, responses=errors(*OF_CHANGES))
    async def forget_photo(
        request: Request, number: Annotated[int, Path(ge=1, le=LARGEST_ID)], key: Key = ""
    ) -> None:
        """Delete one photo; with the last of them its person."""
        change = service.change(request, key, "forget photo", number)
        await service.in_store(people.remove_photo, number, change)

    return router


def _one_each(faces: list[int], count: int) -> list[int]:
    """Return which face is taken of each of `count` photos.  Raises Refusal."""
    if faces and len(faces) != count:
        raise Refusal(422, "bad_request", f"face: give it once for each of the {count} photos")
    if any(not MAIN <= face <= 255 for face in faces):
        raise Refusal(422, "bad_request", "face: -1 to 255")
    return faces or [MAIN] * count
