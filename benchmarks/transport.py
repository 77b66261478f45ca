"""What a request costs over the project's own transport and over httpx's: CPU seconds of the same work, in turns.

    python -m benchmarks.transport                                  # 2, 50 and 200 in flight; two or three minutes
    python -m benchmarks.transport --flying 50 --jobs 100 --rounds 3

A job is a submission over a connection of its own, four questions, and a download of `--bytes` (0: none), against a bare
server on loopback in a process of its own, which answers after `--latency` seconds. httpx is not charged for what its lower
layer does where `sniffio` is not installed (it searches the whole path at each request). Does not know what a good figure is.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import httpx

from qwenbuild.transport.http1 import Http1Transport

QUESTIONS = 4
KEPT = 10
SUBMISSION = b'{"model":"qwen-image-plus","input":{"prompt":"a lamp"},"parameters":{"size":"1328*1328","n":1,"seed":7}}'
HEADERS = {"Authorization": "Bearer none", "Content-Type": "application/json", "Accept-Encoding": "identity"}
PATIENCE = {"connect": 10.0, "read": 30.0, "write": 60.0, "pool": 60.0}

Make = Callable[[int], httpx.AsyncBaseTransport]
"""A transport that keeps so many idle connections."""


def ours(keep: int) -> httpx.AsyncBaseTransport:
    return Http1Transport(httpx.create_ssl_context(), keep=keep)


def httpx_own(keep: int) -> httpx.AsyncBaseTransport:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep, keepalive_expiry=30.0)
    return httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), limits=limits)


sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

CONTENDERS: dict[str, Make] = {"own": ours, "httpx": httpx_own}


class Server(asyncio.Protocol):
    """Answers every request after a while, whatever it says; `/picture` with many bytes."""

    latency, picture = 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, blank, body = self._held.partition(b"\r\n\r\n")
        if not blank or (head.startswith(b"POST") and len(body) < len(SUBMISSION)):
            return
        self._held = b""
        answer = self.picture if head.startswith(b"GET /picture") else b'{"output":{"task_id":"1","task_status":"PENDING"}}'
        said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
        asyncio.get_running_loop().call_later(self.latency, self._transport.write, said)


async def serve(latency: float, size: int) -> None:
    Server.latency, Server.picture = latency, bytes(size)
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def asked(transport: httpx.AsyncBaseTransport, method: str, url: str, body: bytes | None = None) -> int:
    request = httpx.Request(method, url, headers=HEADERS, content=body, extensions={"timeout": PATIENCE})
    response = await transport.handle_async_request(request)
    size = 0
    async for piece in response.stream:  # type: ignore[union-attr]
        size += len(piece)
    await response.aclose()
    return size


async def work(make: Make, url: str, jobs: int, flying: int, size: int) -> None:
    submits, polls = make(0), make(KEPT)
    left = iter(range(jobs))

    async def worker() -> None:
        for _ in left:
            await asked(submits, "POST", f"{url}/submit", SUBMISSION)
            for _ in range(QUESTIONS):
                await asked(polls, "GET", f"{url}/tasks/1")
            if size:
                assert await asked(polls, "GET", f"{url}/picture") == size

    await asyncio.gather(*(worker() for _ in range(flying)))
    await submits.aclose()
    await polls.aclose()


def measured(make: Make, url: str, jobs: int, flying: int, size: int) -> float:
    """CPU seconds of this process."""
    gc.collect()
    before = time.process_time()
    asyncio.run(work(make, url, jobs, flying, size))
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flying", type=int, nargs="+", default=[2, 50, 200])
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=int, nargs="+", default=[0, 1_500_000])
    parser.add_argument("--latency", type=float, default=0.005)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.latency, options.bytes[0]))
        return
    print(
        "| in flight | bytes of a picture | " + " | ".join(f"{name}, CPU ms a job" for name in CONTENDERS) + " | own ÷ httpx |"
    )
    print("|---:|---:|" + "---:|" * (len(CONTENDERS) + 1))
    for size in options.bytes:
        for flying in options.flying:
            print(row(options, flying, size), flush=True)


def row(options: argparse.Namespace, flying: int, size: int) -> str:
    argv = [sys.executable, "-m", "benchmarks.transport", "--serve", "--latency", str(options.latency), "--bytes", str(size)]
    jobs = options.jobs if not size else options.jobs // 2
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        for make in CONTENDERS.values():
            measured(make, url, 2 * flying, flying, size)
        for _ in range(options.rounds):
            for name, make in CONTENDERS.items():
                found[name].append(measured(make, url, jobs, flying, size) / jobs * 1000)
        assert process.stdin is not None
        process.stdin.close()
    ratio = statistics.median(one / other for one, other in zip(found["own"], found["httpx"], strict=True))
    figures = " | ".join(f"{statistics.median(each):.2f}" for each in found.values())
    return f"| {flying} | {size:,} | {figures} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
