"""A provider of each type against the emulator, and a server that says exactly the bytes a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from unittest import mock

import httpx

from qwenbuild.catalog import FAMILIES, Catalog
from qwenbuild.key import action_key
from qwenbuild.model import Action, Order, ProviderSettings
from qwenbuild.pace.clock import Waits
from qwenbuild.plugins import names
from qwenbuild.providers import build_provider
from qwenbuild.transport.http1 import Http1Transport

KEYS = {
    "DASHSCOPE_API_KEY": "sk-canary-dashscope-0001",
    "APIFRAME_API_KEY": "afk_canary_apiframe_0001",
    "QWEN2512_API_KEY": "sk-canary-2512-0001",
}
MODELS = {
    "placeholder": "placeholder",
    "dashscope": "qwen-image-plus",
    "apiframe": "qwen-image-2",
    "qwen2512": "qwen-image-2512",
    "openai": "Qwen/Qwen-Image-2512",
}
TYPES = (*MODELS, *names("provider"))
"""The types of this package and of every plug-in that is installed."""
HOSTED = tuple(name for name in TYPES if FAMILIES[name].regions.get("") != "")
"""Those that ask a server."""
STRANGERS = frozenset(HOSTED) - frozenset(MODELS)
"""Those of them that the emulator does not play."""


class Played(str):
    """A type with a model of its own: equal to its type's name in every other respect."""

    model = ""

    @classmethod
    def of(cls, kind: str, model: str) -> Played:
        """The type with this model instead of its usual one."""
        made = cls(kind)
        made.model = model
        return made


LATER = tuple(Played.of("dashscope", model) for model in ("qwen-image-2.0", "qwen-image-3.0-pro", "wan2.7-image-pro"))
"""Models whose calls or answers have another shape than their type's usual one."""


def action(kind: str, **changes: Any) -> Action:
    """An Action that this type can express in full."""
    extra: tuple[tuple[str, Any], ...] = ()
    size, negative = "1024*1024", ""
    if kind == "dashscope":
        size, negative = "1328*1328", "blurry"
    if kind == "apiframe":
        size, negative = "16:9", "blurry"
    if kind == "openai":
        size, negative, extra = "1024*1024", " ", (("num_inference_steps", 50), ("true_cfg_scale", "4"))
    if kind not in MODELS:
        row = Catalog.load().default(kind)
        size = row.default_size
        extra = tuple(sorted((name, each["default"]) for name, each in row.extra.items() if "default" in each))
    model = changes.pop("model", getattr(kind, "model", "") or MODELS.get(kind) or FAMILIES[kind].default)
    if isinstance(kind, Played):
        row = Catalog.load().find(str(kind), model)
        assert row is not None
        negative = "blurry" if row.negative_limit else ""
        extra = tuple(sorted((name, each["default"]) for name, each in row.extra.items()))
    values = {"prompt": "a paper lantern", "size": size, "seed": 7, "negative_prompt": negative, "extra": extra, **changes}
    return Action(str(kind), model, **values)


def order(kind: str, generation: int = 0, inputs: Any = (), **changes: Any) -> Order:
    """An Order for such an Action."""
    made = action(kind, **changes)
    return Order(made, action_key(made), generation, inputs)


def build(kind: str, environ: dict[str, str], waits: Waits | None = None, **settings: Any) -> Any:
    """The provider, with extra fields of Site under their names."""
    site = {name: settings.pop(name) for name in ("downloads", "resolve_host") if name in settings}
    return build_provider(ProviderSettings(str(kind), str(kind), **settings), Catalog.load(), environ, waits=waits, **site)


def at(kind: str, url: str, waits: Waits | None = None, **settings: Any) -> Any:
    """The provider at one address."""
    own = {FAMILIES[kind].key_env: "sk-canary-plugin-0001"} if kind in STRANGERS else {}
    return build(kind, {**KEYS, **own, f"QWENBUILD_{kind.upper()}_BASE_URL": url}, waits, **settings)


Say = Callable[[bytes], bytes | None]


@asynccontextmanager
async def server(say: Say) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server on loopback that answers each request with the bytes that `say` returns and closes; None resets nothing and
    keeps silent. Yields its address and the requests it read.
    """
    seen: list[bytes] = []
    ended = asyncio.Event()
    at_work: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        request = head + await reader.readexactly(length)
        seen.append(request)
        answer = say(request)
        if answer is None:
            await ended.wait()
        writer.write(answer or b"")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        at_work.add(task)
        task.add_done_callback(at_work.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        ended.set()
        listening.close()
        await asyncio.gather(*at_work, return_exceptions=True)


def http(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """An HTTP/1.1 answer."""
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def routed() -> Iterator[Any]:
    """What the routes of this router of respx's answer takes the place of the network."""
    import respx

    router = respx.MockRouter(assert_all_called=False)
    answering = httpx.MockTransport(router.async_handler)

    async def answered(self: Http1Transport, request: httpx.Request) -> httpx.Response:
        return await answering.handle_async_request(request)

    with mock.patch.object(Http1Transport, "handle_async_request", answered):
        yield router
