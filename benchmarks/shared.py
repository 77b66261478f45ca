"""Measure the shared cache: pull against other clients, claims between two machines, clean exits.

    python -m benchmarks.shared pull   --count 1000 --size 1500000
    python -m benchmarks.shared claims --store s3 --rounds 100
    python -m benchmarks.shared exits  --runs 200

Servers are started on loopback; `TEST_MOTO_SERVER` names moto's server where it is not on the path.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from tests.remote import servers

CLI = [sys.executable, "-m", "qwenbuild"]


@contextlib.contextmanager
def store(kind: str, place: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of an empty store, and the variables that go with it."""
    folder = place / "store"
    folder.mkdir()
    if kind == "folder":
        yield folder.as_uri(), {}
    elif kind == "nginx":
        with servers.nginx(folder) as url:
            yield url, {}
    else:
        with servers.moto(folder) as s3:
            s3.make_bucket("pictures")
            yield "s3://pictures/team", s3.environ


# ---------------------------------------------------------------- pull


def pull(count: int, size: int, kind: str) -> None:
    with tempfile.TemporaryDirectory() as name, store(kind, Path(name)) as (url, environ):
        place = Path(name)
        os.environ.update(environ)
        print(f"{count} pictures of {size / 1e6:.1f} MB from {kind}; seconds, MB/s")
        digests = _fill(url, count, size)
        (place / "digests").write_text("\n".join(digests))
        rates: dict[str, float] = {}
        for turn in range(2):
            for client, code in CLIENTS.items():
                if kind != "s3" and client in ("boto3", "obstore"):
                    continue
                target = place / f"out-{client}-{turn}"
                took, peak = _timed(code, url, place / "digests", target)
                if took:
                    rates[client] = max(rates.get(client, 0), count * size / took / 1e6)
                    print(f"  {client:10} {took:6.2f} s  {count * size / took / 1e6:7.1f} MB/s  peak {peak:.0f} MB")
                shutil.rmtree(target, ignore_errors=True)
        best = max((rate, client) for client, rate in rates.items() if client != "qwenbuild")
        print(f"qwenbuild reaches {100 * rates['qwenbuild'] / best[0]:.0f} % of the fastest other client ({best[1]})")


def _fill(url: str, count: int, size: int) -> list[str]:
    from qwenbuild.model import ActionResult
    from qwenbuild.remote.addresses import open_remote
    from qwenbuild.remote.store import blob_name, receipt_name
    from qwenbuild.remote.transfer import each, receipt_bytes

    head = _picture(size - 8)
    digests: dict[str, bytes] = {}
    for number in range(count):
        tail = number.to_bytes(8, "big")
        digests[sha256(head + tail).hexdigest()] = tail
    with contextlib.closing(open_remote(url, os.environ)) as remote:
        remote.put("VERSION", b"1\n")

        def put(digest: str) -> None:
            key = sha256(digest.encode()).hexdigest()
            result = ActionResult(key, digest, "image/png", 1, 1, size, "2026-11-20", attempt=digest[:20], action={"a": "b"})
            remote.put(blob_name(digest), head + digests[digest])
            remote.put(receipt_name(key), receipt_bytes(result))

        assert all(answer is None for _, answer in each(put, digests))
    return list(digests)


def _picture(size: int) -> bytes:
    """The head of a PNG, so that readers of headers see a picture, and noise."""
    chunk = b"IHDR" + (1328).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + os.urandom(size - 33)


_HEAD = """
import os, sys, time, resource
from concurrent.futures import ThreadPoolExecutor
url, names, target = sys.argv[1:]
digests = open(names).read().split()
os.makedirs(target)
"""
_TAIL = """
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
CLIENTS = {
    "qwenbuild": """
from hashlib import sha256
from pathlib import Path
from qwenbuild.cache import Cache
from qwenbuild.remote.store import open_remote
from qwenbuild.remote.transfer import Named, fetch
start = time.monotonic()
remote, cache = open_remote(url, os.environ), Cache.open(Path(target))
wanted = {digest: Named(sha256(digest.encode()).hexdigest(), {"prompt": "a coin"}) for digest in digests}

moved = fetch(remote, cache, wanted)
cache.close()
took = time.monotonic() - start
assert len(moved.done) == len(digests), moved
""",
    "obstore": """
import obstore
from obstore.store import from_url
start = time.monotonic()
store = from_url(url, config={"endpoint": os.environ["AWS_ENDPOINT_URL"]}, client_options={"allow_http": True})
def one(digest):
    data = obstore.get(store, f"blobs/{digest[:2]}/{digest}").bytes()
    with open(f"{target}/{digest}", "wb") as file:
        file.write(data)
with ThreadPoolExecutor(24) as threads:
    list(threads.map(one, digests))
took = time.monotonic() - start
""",
    "boto3": """
import boto3
from botocore.config import Config
start = time.monotonic()
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=Config(max_pool_connections=24))
def one(digest):
    client.download_file("pictures", f"team/blobs/{digest[:2]}/{digest}", f"{target}/{digest}")
with ThreadPoolExecutor(24) as threads:
    list(threads.map(one, digests))
took = time.monotonic() - start
""",
    "httpx": """
import httpx
base = url if url.startswith("http") else os.environ["AWS_ENDPOINT_URL"] + "/pictures/team"
start = time.monotonic()
client = httpx.Client(limits=httpx.Limits(max_connections=24))
def one(digest):
    answer = client.get(f"{base}/blobs/{digest[:2]}/{digest}")
    answer.raise_for_status()
    with open(f"{target}/{digest}", "wb") as file:
        file.write(answer.content)
with ThreadPoolExecutor(24) as threads:
    list(threads.map(one, digests))
took = time.monotonic() - start
""",
}


def _timed(code: str, url: str, names: Path, target: Path) -> tuple[float, float]:
    """Seconds and megabytes at the peak, of one client in a process of its own; zeros where it is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + code + _TAIL, url, str(names), str(target)], capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1])
        return 0.0, 0.0
    took, peak = map(float, done.stdout.split())
    return took, peak


# ---------------------------------------------------------------- claims

MANIFEST = """\
version: 1
provider: dashscope
providers: {{dashscope: {{limits: {{rps: 100, concurrency: 4}}}}}}
defaults: {{params: {{size: "1:1", prompt_extend: false}}, model: qwen-image-plus}}
claims: {claims}
assets:
  coins: {{prompt: "round {round} coin {{{{ n }}}}", matrix: {{n: [a, b, c, d]}}}}
"""


def claims(kind: str, rounds: int, claiming: bool) -> None:
    from qwenbuild.emulator import serve

    with tempfile.TemporaryDirectory() as name, store(kind, Path(name)) as (url, environ), serve(latency=0.3) as emulator:
        emulator.configure(enforce=False)
        place = Path(name)
        said = {**os.environ, **environ, **emulator.environ(), "QWENBUILD_REMOTE": url}
        doubles, codes, differing = 0, Counter[int](), 0
        start = time.monotonic()
        for number in range(rounds):
            emulator.reset()
            emulator.configure(enforce=False)
            with ThreadPoolExecutor(2) as both:
                ends = list(both.map(lambda m, n=number: _machine(place / m, n, said, claiming), ("ann", "bob")))  # type: ignore[misc]
            prompts = Counter(emulator.prompts())
            doubles += sum(times - 1 for times in prompts.values())
            codes.update(code for code, _ in ends)
            differing += ends[0][1] != ends[1][1]
            assert len(prompts) == 4, prompts
        took = time.monotonic() - start
        words = "with" if claiming else "without"
        print(f"{kind}, {words} claims: {rounds} rounds x 4 pictures x 2 machines, {took:.0f} s: {doubles} double submissions, "
              f"{differing} rounds with different trees, exit codes {dict(codes)}")  # fmt: skip


def _machine(place: Path, number: int, environ: dict[str, str], claiming: bool) -> tuple[int, list[str]]:
    project = place / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "qwenbuild.yaml").write_text(MANIFEST.format(round=number, claims=str(claiming).lower()))
    (project / "qwenbuild.lock").unlink(missing_ok=True)
    shutil.rmtree(project / "assets", ignore_errors=True)
    said = {**environ, "QWENBUILD_CACHE_DIR": str(place / "cache")}
    done = subprocess.run([*CLI, "build", "--yes", "-C", str(project)], env=said, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-500:], done.stderr[-1500:])
    entries = json.loads((project / "qwenbuild.lock").read_text())["entries"]
    return done.returncode, sorted(entry["digest"] for entry in entries.values())


# ---------------------------------------------------------------- exits

EXIT = """
import os, sys
from pathlib import Path
from qwenbuild.cache import Cache
from qwenbuild.remote.store import open_remote
from qwenbuild.remote.transfer import fetch, look
remote, cache = open_remote(sys.argv[1], os.environ), Cache.open(Path(sys.argv[2]))
digests = open(sys.argv[3]).read().split()
look(remote, digests)
moved = fetch(remote, cache, dict.fromkeys(digests))
assert len(moved.done) == len(digests)
list(remote.list("blobs"))
remote.put("claims/x", b"1")
"""


def exits(runs: int) -> None:
    with tempfile.TemporaryDirectory() as name, store("s3", Path(name)) as (url, environ):
        os.environ.update(environ)
        names = Path(name) / "digests"
        names.write_text("\n".join(_fill(url, 60, 50_000)))
        codes, lock = Counter[int](), threading.Lock()

        def one(number: int) -> None:
            target = Path(name) / f"cache{number}"
            done = subprocess.run([sys.executable, "-c", EXIT, url, str(target), str(names)], capture_output=True)
            shutil.rmtree(target, ignore_errors=True)
            with lock:
                codes[done.returncode] += 1

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(one, range(runs)))
        print(f"{runs} runs of look, fetch, list and put through obstore: exit codes {dict(codes)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pull", "claims", "exits"])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, default=1_500_000)
    parser.add_argument("--store", choices=["s3", "nginx", "folder"], default="s3")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--without", action="store_true", help="claims: the same without claims, for comparison")
    said = parser.parse_args()
    work: dict[str, Callable[[], None]] = {
        "pull": lambda: pull(said.count, said.size, said.store),
        "claims": lambda: claims(said.store, said.rounds, not said.without),
        "exits": lambda: exits(said.runs),
    }
    work[said.what]()


if __name__ == "__main__":
    main()
