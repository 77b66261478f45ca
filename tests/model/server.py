"""Serves the tiny pipeline as `POST /v1/images/generations`, with the fields and errors of vLLM-Omni 0.30; loopback only.

Knows nothing of qwenbuild: it imports none of it. `python -m tests.model.server` prints its address and serves until its input
ends; `GET /calls` gives the arguments of every call of the pipeline and the warnings that it logged.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "Qwen/Qwen-Image-2512"
PASSED = ("prompt", "negative_prompt", "num_inference_steps", "true_cfg_scale", "guidance_scale")
TAKEN = {*PASSED, "model", "n", "size", "seed", "response_format", "output_format", "generator_device"}


class Refused(Exception):
    """A request that the server answers with 400."""


class Painter:
    """The pipeline, one picture at a time, and a record of what it was asked for."""

    def __init__(self) -> None:
        from tests.model.pipeline import tiny_pipeline

        self.pipeline = tiny_pipeline()
        self.calls: list[dict[str, Any]] = []
        self._turn = threading.Lock()
        self._warned: list[str] = []
        self._listen()

    def _listen(self) -> None:
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self._warned.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("diffusers").addHandler(handler)

    def paint(self, body: dict[str, Any]) -> bytes:
        """The picture as a PNG."""
        import torch

        said = arguments(body)
        with self._turn:
            self._warned.clear()
            generator = torch.Generator("cpu").manual_seed(body["seed"]) if body.get("seed") is not None else None
            with torch.no_grad():
                image = self.pipeline(**said, generator=generator).images[0]
            self.calls.append({**said, "seed": body.get("seed"), "warnings": list(self._warned)})
        told = io.BytesIO()
        image.save(told, "PNG")
        return told.getvalue()


def arguments(body: dict[str, Any]) -> dict[str, Any]:
    """What the pipeline is called with. Raises Refused."""
    unknown = set(body) - TAKEN
    if unknown:
        raise Refused(f"unknown fields: {', '.join(sorted(unknown))}")
    if body.get("model", MODEL) != MODEL:
        raise Refused(f"The model `{body['model']}` does not exist.")
    if (body.get("response_format", "b64_json"), body.get("output_format", "png")) != ("b64_json", "png"):
        raise Refused("b64_json and png only")
    width, cross, height = str(body.get("size", "1024x1024")).partition("x")
    if not cross or not width.isdigit() or not height.isdigit():
        raise Refused("size must be WIDTHxHEIGHT")
    said = {name: body[name] for name in PASSED if body.get(name) is not None}
    return {**said, "width": int(width), "height": int(height), "num_images_per_prompt": body.get("n", 1)}


def defaults() -> dict[str, Any]:
    """The parameters of the pipeline's call that have a plain default."""
    import inspect

    from diffusers import QwenImagePipeline

    found = {name: one.default for name, one in inspect.signature(QwenImagePipeline.__call__).parameters.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float | str | None)}


def handler_for(painter: Painter) -> type[BaseHTTPRequestHandler]:
    """A request handler over one painter."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            """Models, calls, defaults."""
            answers = {
                "/v1/models": lambda: {"object": "list", "data": [{"id": MODEL, "object": "model"}]},
                "/calls": lambda: painter.calls,
                "/defaults": defaults,
            }
            found = answers.get(self.path)
            self._say(200 if found else 404, found() if found else {"detail": "Not Found"})

        def do_POST(self) -> None:
            """A picture."""
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/images/generations":
                self._say(404, {"detail": "Not Found"})
                return
            try:
                picture = painter.paint(body)
            except Refused as refused:
                self._say(400, {"error": {"message": str(refused), "type": "BadRequestError", "code": 400}})
                return
            item = {"b64_json": base64.b64encode(picture).decode(), "url": None, "revised_prompt": None}
            self._say(200, {"created": 0, "data": [item], "output_format": "png"})

        def _say(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *said: Any) -> None:
            """Nothing."""

    return Handler


def main() -> None:
    """Serve until the input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(Painter()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
