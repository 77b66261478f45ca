"""Stores to test against: an obstinate web server in this process, nginx with DAV and moto's S3 as programs.

Knows no test; what a machine lacks is skipped by whoever asks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

Fault = Callable[["Handler"], bool]
"""Answers a request wrongly and returns True, or returns False to let it be answered well."""


@dataclass
class WebStore:
    """A folder in memory behind GET, HEAD, PUT, DELETE. `fault` may answer first; `asked` are (method, name)."""

    url: str = ""
    names: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    headers: list[dict[str, str]] = field(default_factory=list)

    def count(self, method: str, prefix: str = "") -> int:
        return sum(how == method and name.startswith(prefix) for how, name in self.asked)


class Handler(BaseHTTPRequestHandler):
    store: WebStore
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    @property
    def name(self) -> str:
        return self.path.removeprefix("/cache/")

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", *, length: int | None = None, head: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _do(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) if size else b""
        self.store.asked.append((self.command, self.name))
        self.store.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.store.fault is not None and self.store.fault(self):
            return
        held = self.store.names.get(self.name)
        if self.command == "PUT":
            self.store.names[self.name] = body
            self.answer(201)
        elif self.command == "DELETE":
            self.answer(204 if self.store.names.pop(self.name, None) is not None else 404)
        elif held is None:
            self.answer(404, b"not found", head=self.command == "HEAD")
        else:
            self.answer(200, held, head=self.command == "HEAD")

    do_GET = do_HEAD = do_PUT = do_DELETE = _do


@contextlib.contextmanager
def web_store() -> Iterator[WebStore]:
    store = WebStore()
    handler = type("Bound", (Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    store.url = f"http://127.0.0.1:{server.server_address[1]}/cache"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, variable: str) -> str | None:
    """A program by variable, beside this Python, or on the path."""
    said = os.environ.get(variable)
    beside = Path(sys.executable).with_name(name)
    return said or (str(beside) if beside.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin"))


MOTO = program("moto_server", "TEST_MOTO_SERVER")
RCLONE = program("rclone", "TEST_RCLONE")
NGINX = program("nginx", "TEST_NGINX")


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A server program that listens on a port as long as the block runs."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _await_port(process, port, folder)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError((folder / "server.log").read_text(errors="replace")[-2000:])


@dataclass
class S3:
    """moto's S3: `environ` are the variables a client needs."""

    endpoint: str

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> None:
        httpx.put(f"{self.endpoint}/{name}", headers={"Authorization": _unsigned()}).raise_for_status()

    def forget(self) -> None:
        httpx.post(f"{self.endpoint}/moto-api/reset").raise_for_status()


def _unsigned() -> str:
    return "AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[S3]:
    assert MOTO is not None
    port = free_port()
    with running([MOTO, "-H", "127.0.0.1", "-p", str(port)], port, folder):
        yield S3(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[S3]:
    """A folder behind `rclone serve s3`, which checks signatures, and takes a conditional write for a plain one."""
    assert RCLONE is not None
    port = free_port()
    (folder / "data" / "pictures").mkdir(parents=True)
    s3 = S3(f"http://127.0.0.1:{port}")
    pair = f"{s3.environ['AWS_ACCESS_KEY_ID']},{s3.environ['AWS_SECRET_ACCESS_KEY']}"
    config = ["--config", str(folder / "none.conf"), "--cache-dir", str(folder / "cache")]
    command = [RCLONE, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", pair, *config, str(folder / "data")]
    with running(command, port, folder):
        yield s3


CONFIG = """\
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 2;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location /cache/ {{
      root {folder}/www; client_max_body_size 256m;
      dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw;
    }}
    location /closed/ {{ return 403; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """The address of a cache behind nginx with DAV, its files below `folder`/www/cache."""
    assert NGINX is not None
    port = free_port()
    (folder / "www" / "cache").mkdir(parents=True)
    for path in (folder, folder / "www", folder / "www" / "cache"):
        path.chmod(0o777)
    (folder / "nginx.conf").write_text(("user root;\n" if os.getuid() == 0 else "") + CONFIG.format(folder=folder, port=port))
    with running([NGINX, "-c", str(folder / "nginx.conf"), "-e", "stderr"], port, folder):
        yield f"http://127.0.0.1:{port}/cache"
