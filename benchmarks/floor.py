"""The least that any program over httpx does for a picture: the same requests, one hash, two files. The peer of `free`.

    python benchmarks/floor.py BASE_URL KEY async|sync COUNT IN_FLIGHT FOLDER

Does not know a journal, a receipt, a check, a pace or a lockfile: whoever kills it has paid for nothing. As the vendors'
SDKs would, it opens no connection that it can avoid; its clients have ten connections each, because httpx looks at a whole
pool at each request.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import sys
from pathlib import Path

import httpx
from hosted import MODELS

A_CLIENT = 10
"""Jobs in flight that share a client."""
PAUSE = 0.25
"""Seconds between two questions for a task; a picture takes 0.2 in the row `free`."""


def body(mode: str, number: int) -> dict[str, object]:
    """What is asked for, in the vendor's words for the call."""
    prompt = f"Picture {number:05d} of a shelf, ink and gouache"
    asked = {"prompt": prompt} if mode == "async" else {"messages": [{"role": "user", "content": [{"text": prompt}]}]}
    return {"model": MODELS[mode], "input": asked, "parameters": {"n": 1, "prompt_extend": False}}


def store(folder: Path, number: int, data: bytes) -> None:
    """The vault's copy, durable and under its digest, and the one in the tree."""
    kept = folder / "vault" / hashlib.sha256(data).hexdigest()
    with open(kept, "wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    (folder / "tree" / f"{number:05d}.png").write_bytes(data)


async def picture(client: httpx.AsyncClient, base: str, key: str, mode: str, number: int) -> bytes:
    """Submit, ask until it is there, fetch; the storage gets no key."""
    auth = {"Authorization": f"Bearer {key}"}
    if mode == "sync":
        answer = await client.post(
            f"{base}/services/aigc/multimodal-generation/generation", json=body(mode, number), headers=auth
        )
        answer.raise_for_status()
        url = answer.json()["output"]["choices"][0]["message"]["content"][0]["image"]
    else:
        path = "/services/aigc/text2image/image-synthesis"
        answer = await client.post(base + path, json=body(mode, number), headers={**auth, "X-DashScope-Async": "enable"})
        answer.raise_for_status()
        url = await ended(client, f"{base}/tasks/{answer.json()['output']['task_id']}", auth)
    found = await client.get(url)
    found.raise_for_status()
    return found.content


async def ended(client: httpx.AsyncClient, task: str, auth: dict[str, str]) -> str:
    """The address of a task's picture."""
    while True:
        await asyncio.sleep(PAUSE)
        output = (await client.get(task, headers=auth)).json()["output"]
        if output["task_status"] == "SUCCEEDED":
            found: str = output["results"][0]["url"]
            return found


async def run(base: str, key: str, mode: str, count: int, flying: int, folder: Path) -> None:
    """So many pictures, so many in flight."""
    numbers = iter(range(count))
    context = ssl.create_default_context()

    async def worker(client: httpx.AsyncClient) -> None:
        for number in numbers:
            await asyncio.to_thread(store, folder, number, await picture(client, base, key, mode, number))

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=context, timeout=60)

    clients = [client() for _ in range(-(-flying // A_CLIENT))]
    await asyncio.gather(*(worker(clients[number // A_CLIENT]) for number in range(flying)))
    await asyncio.gather(*(each.aclose() for each in clients))


def main() -> None:
    base, key, mode, count, flying, folder = sys.argv[1:]
    for name in ("vault", "tree"):
        (Path(folder) / name).mkdir(parents=True)
    asyncio.run(run(base, key, mode, int(count), int(flying), Path(folder)))


if __name__ == "__main__":
    main()
