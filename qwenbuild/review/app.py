"""The review's routes: the page, its pictures, choices, builds, and a stream of what changes.

Knows no rule about choices; who may ask is the guard's matter.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from qwenbuild.errors import QwenbuildError
from qwenbuild.gallery import SMALL, TINY, page
from qwenbuild.images import sniff
from qwenbuild.review.actions import ReviewRequest
from qwenbuild.review.session import Session, SessionBusy, Stale

BODY_BYTES_MAX = 1_000_000
"""Bytes of a request: the stamps of 10,000 entries."""
REVISION_CHARS_MAX = 200
"""Characters of a git revision's name."""
HEARTBEAT_S = 15.0
"""Seconds between two signs of life on a quiet stream."""
PLACES = {
    "tiny": f"/thumbs/*-{TINY}.webp",
    "small": f"/thumbs/*-{SMALL}.webp",
    "large": "/pictures/*",
    "whole": "/pictures/*",
}
_THUMB = re.compile(rf"([0-9a-f]{{64}})-({TINY}|{SMALL})\.webp").fullmatch
_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


class BadRequest(Exception):
    """A request that this page would not send."""


def make_app(session: Session, *, choosing: bool = True) -> Starlette:
    """The application for one session; to be wrapped in the guard. Without `choosing` nothing on it writes or builds."""
    chosen = [Route(path, _bound(answer, session), methods=["POST"]) for path, answer in _POSTS.items() if choosing]
    return Starlette(
        routes=[
            Route("/", _bound(_index if choosing else _look, session)),
            Route("/favicon.ico", _icon),
            Route("/cards", _bound(_cards, session)),
            Route("/events", _bound(_events, session)),
            Route("/thumbs/{name}", _bound(_thumb, session)),
            Route("/pictures/{digest}", _bound(_picture, session)),
            Route("/differences/{one}/{other}", _bound(_difference, session)),
            *chosen,
        ],
    )


def _bound(answer: Callable[[Session, Request], Any], session: Session) -> Callable[[Request], Any]:
    """A route whose expected failures are answers: 400 what no page of ours sends, 409 stale or busy, 422 refused."""

    async def endpoint(request: Request) -> Response:
        try:
            response: Response = await answer(session, request)
        except BadRequest as error:
            return JSONResponse({"error": "bad", "words": str(error)}, 400)
        except Stale as error:
            words = "It was changed in the meantime; this is the current state. Nothing was overwritten."
            return JSONResponse({"error": "stale", "words": words, "cards": error.cards, "gone": error.gone}, 409)
        except SessionBusy:
            return JSONResponse({"error": "busy", "words": "A build is already running."}, 409)
        except (QwenbuildError, OSError) as error:
            return JSONResponse({"error": "refused", "words": _words(error)}, 422)
        return response

    return endpoint


def _words(error: Exception) -> str:
    hints = [problem.hint for problem in error.problems if problem.hint] if isinstance(error, QwenbuildError) else []
    return ". ".join([str(error), *hints[:1]])


# ---------------------------------------------------------------- looking


async def _index(session: Session, request: Request) -> Response:
    return await _page(session, choosing=True)


async def _look(session: Session, request: Request) -> Response:
    return await _page(session, choosing=False)


async def _page(session: Session, *, choosing: bool) -> Response:
    state = session.state()
    cards = state.pop("cards")
    facts = {**state, **PLACES, "live": True}
    text = await run_in_threadpool(page, cards, title=session.title, facts=facts, live=True, choosing=choosing)
    return HTMLResponse(text, headers={"content-security-policy": "frame-ancestors 'none'"})


async def _icon(request: Request) -> Response:
    """Browsers ask for one; there is none."""
    return Response(status_code=204)


async def _cards(session: Session, request: Request) -> Response:
    return JSONResponse(session.state())


async def _thumb(session: Session, request: Request) -> Response:
    match = _THUMB(request.path_params["name"])
    path = await run_in_threadpool(session.thumbnail, match[1], int(match[2])) if match else None
    return _missing() if path is None else FileResponse(path, media_type="image/webp")


async def _picture(session: Session, request: Request) -> Response:
    match = _DIGEST(request.path_params["digest"])
    data = await run_in_threadpool(session.picture, match[0]) if match else None
    return _missing() if data is None else Response(data, media_type=sniff(data) or "application/octet-stream")


async def _difference(session: Session, request: Request) -> Response:
    one, other = (_DIGEST(request.path_params[name]) for name in ("one", "other"))
    share = await run_in_threadpool(session.difference, (one[0], other[0])) if one and other else None
    return _missing() if share is None else JSONResponse({"share": share})


def _missing() -> Response:
    return JSONResponse({"error": "missing", "words": "There is no such picture."}, 404)


async def _events(session: Session, request: Request) -> Response:
    """Server-sent events, each one JSON object; the first tells the version, so that a tab that slept asks for the rest."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    leave = session.listen(lambda message: _hand(loop, waiting, message))

    async def stream() -> AsyncIterator[str]:
        try:
            yield _event({"type": "hello", "version": session.version, "building": session.building})
            while True:
                try:
                    message = await asyncio.wait_for(waiting.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                yield _event(message)
                if message["type"] == "ended":
                    return
        finally:
            leave()

    return StreamingResponse(stream(), media_type="text/event-stream")


def _hand(loop: asyncio.AbstractEventLoop, waiting: asyncio.Queue[Mapping[str, Any]], message: Mapping[str, Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(waiting.put_nowait, message)


def _event(message: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(message)}\n\n"


# ---------------------------------------------------------------- choosing and building


async def _choose(session: Session, request: Request) -> Response:
    body = await _body(request)
    stamps, number = _object(body, "entries"), body.get("number", 0)
    verb, text, numbers = body.get("verb"), body.get("text", ""), body.get("numbers", {})
    if not isinstance(verb, str) or not isinstance(text, str) or type(number) is not int:
        raise BadRequest("expected verb, entries, number, text")
    if not isinstance(numbers, dict) or not all(type(each) is int for each in numbers.values()) or set(numbers) - set(stamps):
        raise BadRequest("expected numbers, an object of whole numbers by entry")
    choice = ReviewRequest(verb, tuple(stamps), number, text, numbers)
    return JSONResponse(await run_in_threadpool(session.choose, choice, stamps))


async def _price(session: Session, request: Request) -> Response:
    body = await _body(request)
    ids, reroll = _ids(body), body.get("reroll", False)
    if type(reroll) is not bool or (reroll and not ids):
        raise BadRequest("expected reroll, true or false, and for which entries")
    return JSONResponse(await run_in_threadpool(lambda: session.price(ids, reroll=reroll)))


async def _compare(session: Session, request: Request) -> Response:
    against = (await _body(request)).get("against")
    if not isinstance(against, str) or len(against) > REVISION_CHARS_MAX:
        raise BadRequest("expected against, a revision")
    await run_in_threadpool(session.compare, against)
    return JSONResponse({"against": against})


async def _build(session: Session, request: Request) -> Response:
    body = await _body(request)
    session.start_build(_ids(body), {"cost": body.get("cost"), "unknown": body.get("unknown")})
    return JSONResponse({"building": True}, 202)


_POSTS: Mapping[str, Callable[[Session, Request], Any]] = {
    "/choose": _choose,
    "/price": _price,
    "/build": _build,
    "/compare": _compare,
}


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises Bad."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise BadRequest("expected application/json")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > BODY_BYTES_MAX:
            raise BadRequest(f"more than {BODY_BYTES_MAX} bytes")
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("expected an object")
    return body


def _object(body: Mapping[str, Any], name: str) -> dict[str, str]:
    items = body.get(name)
    if not isinstance(items, dict) or not all(isinstance(value, str) for value in items.values()):
        raise BadRequest(f"expected {name}, an object of texts")
    return items


def _ids(body: Mapping[str, Any]) -> tuple[str, ...]:
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise BadRequest("expected ids, a list of texts")
    return tuple(ids)
