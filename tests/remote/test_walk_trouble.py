"""A store that is broken, slow, lying, closed or gone never causes a purchase, and a later build completes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.cache.care import verify
from qwenbuild.emulator import Served
from qwenbuild.verbs import Summary
from tests.remote.servers import S3, Handler, WebStore
from tests.remote.teams import Machine, Team

MANY = """\
version: 1
provider: dashscope
providers: {{dashscope: {{limits: {{rps: 500, concurrency: 50}}}}}}
defaults: {{params: {{size: "1:1", prompt_extend: false}}, model: qwen-image-plus}}
assets:
  coins: {{prompt: "coin {{{{ n }}}}", foreach: [{rows}]}}
"""
FREE = MANY.replace("provider: dashscope\nprov", "prov").replace("1:1", "32*32").replace(", model: qwen-image-plus", "")


def many(count: int, text: str = MANY) -> str:
    return text.format(rows=", ".join(f"{{id: c{n}, n: {n}}}" for n in range(count)))


@pytest.fixture
def team(tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch, emulated: Served) -> Team:
    return Team(tmp_path, web.url, monkeypatch, many(12))


@pytest.fixture
def bob(team: Team, emulated: Served) -> Machine:
    """A fresh clone; everything it needs was pushed, and from now on the emulator has an empty ledger."""
    assert team.machine("ann").build(push=True).exit_code == 0
    emulated.reset()
    return team.clone("bob")


def status(code: int) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.answer(code, b"", head=handler.command == "HEAD")
        return True

    return fault


def of_blobs(fault: Callable[[Handler], bool]) -> Callable[[Handler], bool]:
    """The fault only where pictures are fetched."""
    return lambda handler: handler.command == "GET" and handler.name.startswith("blobs/") and fault(handler)


def wrong(handler: Handler) -> bool:
    handler.answer(200, b"\x89PNG but another picture")
    return True


def page(handler: Handler) -> bool:
    handler.answer(200, b"<html>please log in</html>", head=handler.command == "HEAD")
    return True


def truncated(handler: Handler) -> bool:
    data = handler.store.names[handler.name]
    handler.answer(200, data[: len(data) // 2], length=len(data))
    handler.close_connection = True
    return True


def unannounced(handler: Handler) -> bool:
    """Half a body and no length: the protocol cannot show that anything is missing."""
    data = handler.store.names[handler.name]
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True
    return True


def gone(handler: Handler) -> bool:
    handler.answer(404)
    return True


def said(summary: Summary) -> str:
    return " | ".join(message for _, _, message in summary.failures)


TROUBLE = {
    "503 to everything": (status(503), "HTTP 503"),
    "500 to everything": (status(500), "HTTP 500"),
    "wrong credentials": (status(403), "refused the credentials"),
    "a login page for everything": (page, "is no shared cache"),
    "wrong bytes": (of_blobs(wrong), "holds other bytes"),
    "truncated bodies": (of_blobs(truncated), "peer closed connection"),
    "truncated without a length": (of_blobs(unannounced), "holds other bytes"),
    "503 to downloads": (of_blobs(status(503)), "HTTP 503"),
    "there at the plan and gone in the run": (of_blobs(gone), "has it no more"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_stops_the_entries_and_buys_nothing_and_a_later_build_completes(
    bob: Machine, web: WebStore, emulated: Served, name: str
) -> None:
    web.fault, message = TROUBLE[name]
    summary = bob.build()
    assert summary.exit_code == 1
    assert summary.counts == {"failed": 12}
    assert message in said(summary)
    assert "nothing was bought" in said(summary)
    assert (emulated.prompts(), bob.tree(), bob.cache().known_blobs()) == ([], {}, set())
    web.fault = None
    assert bob.build().exit_code == 0
    assert emulated.prompts() == []
    assert sorted(bob.tree().values()) == sorted(bob.digests())


def test_nobody_listening_buys_nothing_and_says_so_in_the_plan(bob: Machine, team: Team, emulated: Served) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        team.share(f"http://127.0.0.1:{closed.getsockname()[1]}/cache")
        planned = bob.plan()
        notice = next(notice for notice in planned.notices if notice.code == "shared-unknown")
        assert "cannot tell whether the shared cache has 12 pictures" in notice.message
        assert planned.plan.cost == {}
        summary = bob.build()
    assert (summary.exit_code, summary.counts, emulated.prompts()) == (1, {"failed": 12}, [])


def test_offline_does_not_ask_and_skips(bob: Machine, web: WebStore, emulated: Served) -> None:
    web.asked.clear()
    summary = bob.build(offline=True)
    assert (summary.exit_code, summary.counts, web.asked, emulated.prompts()) == (1, {"skipped": 12}, [], [])


def test_one_corrupt_picture_stops_its_entry_alone(bob: Machine, web: WebStore, emulated: Served) -> None:
    bad = bob.digests()[3]
    web.names[f"blobs/{bad[:2]}/{bad}"] = b"other bytes"
    summary = bob.build()
    assert (summary.exit_code, summary.counts) == (1, {"restored": 11, "failed": 1})
    assert emulated.prompts() == []
    assert not bob.cache().has_blob(bad)


def test_a_lying_receipt_is_not_believed(bob: Machine, web: WebStore, emulated: Served) -> None:
    """Every receipt in the store names another entry's picture: the lockfile's digests stand."""
    names = sorted(name for name in web.names if name.startswith("receipts/"))
    bodies = [web.names[name] for name in names]
    for name, body in zip(names, [*bodies[1:], bodies[0]], strict=True):
        web.names[name] = body
    assert bob.build().exit_code == 0
    assert sorted(bob.tree().values()) == sorted(bob.digests())
    assert [results[0].digest for _, results in sorted(bob.cache().results(bob.keys()).items())] == [
        digest for _, digest in sorted(zip(bob.keys(), bob.digests(), strict=True))
    ]
    assert emulated.prompts() == []


def test_a_push_that_fails_is_said_and_the_next_one_completes(team: Team, web: WebStore, emulated: Served) -> None:
    first = team.machine("ann")
    web.fault = lambda handler: handler.command == "PUT" and handler.name.startswith("blobs/") and status(507)(handler)
    summary = first.build(push=True)
    assert (summary.exit_code, summary.counts) == (1, {"generated": 12})
    assert "12 of 12 could not be uploaded to the shared cache" in said(summary)
    assert not [name for name in web.names if name.startswith("receipts/")]
    web.fault = None
    assert first.build(push=True).exit_code == 0
    assert len([name for name in web.names if name.startswith(("blobs/", "receipts/"))]) == 24
    assert len(emulated.prompts()) == 12


def test_a_connection_cut_in_the_middle_of_200_downloads_is_completed_by_the_next_build(
    tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(tmp_path, web.url, monkeypatch, many(200, FREE))
    assert team.machine("ann").build(push=True).exit_code == 0
    served, lock = iter(range(10_000)), threading.Lock()

    def cut(handler: Handler) -> bool:
        with lock:
            number = next(served)
        return number >= 100 and truncated(handler)

    web.fault = of_blobs(cut)
    second = team.clone("bob")
    summary = second.build()
    assert summary.exit_code == 1
    assert summary.counts == {"restored": 100, "failed": 100}
    assert second.submitted == []
    assert verify.verify(second.cache(), full=True).sound
    web.fault = None
    web.asked.clear()
    assert second.build().counts == {"restored": 100, "fresh": 100}
    assert web.count("GET", "blobs/") == 100
    assert second.submitted == []


# ---------------------------------------------------------------- S3


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("QWENBUILD_REMOTE", "s3://nobody-made-this/x", "there is no bucket"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "did not answer"),
    ],
)
def test_s3_that_is_not_there_buys_nothing(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: Served, variable: str, value: str, message: str
) -> None:
    team = Team(tmp_path, "s3://pictures/team", monkeypatch, many(12))
    assert team.machine("ann").build(push=True).exit_code == 0
    emulated.reset()
    second = team.clone("bob")
    monkeypatch.setenv(variable, value)
    summary = second.build()
    assert (summary.exit_code, summary.counts, emulated.prompts()) == (1, {"failed": 12}, [])
    assert message in said(summary)
    monkeypatch.setenv("QWENBUILD_REMOTE", "s3://pictures/team")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert second.build().exit_code == 0
    assert emulated.prompts() == []
