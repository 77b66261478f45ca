"""Every answer that a store can give, for every kind of object: nothing is bought or deleted over it, and nothing hangs."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from _pytest.mark.structures import ParameterSet

from qwenbuild.cache.seal import seal, unseal
from qwenbuild.verbs import Summary
from tests.campaign.mutation import mutants
from tests.remote.servers import Handler, WebStore, web_store
from tests.remote.teams import Machine, Team

MANIFEST = """\
version: 1
defaults: {params: {size: "32*32"}}
assets:
  coins: {prompt: "coin {{ n }}", matrix: {n: [a, b]}, output: "{{ n }}.png", steps: [{resize: {width: 8}}]}
"""
HANGS_S = 90
PARTS = 6
"""CI tries one part of the mutated objects."""
TEAM_KEY = "the team's secret"
SHORT = httpx.Timeout(0.3, connect=10)
Fault = Callable[[Handler], None]


def _body(status: int, body: bytes) -> Fault:
    return lambda handler: handler.answer(status, body, head=handler.command == "HEAD")


def _moved(handler: Handler) -> None:
    handler.send_response(301)
    handler.send_header("Location", "/login")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _truncated(handler: Handler) -> None:
    data = handler.store.names.get(handler.name, b"something")
    handler.answer(200, data[: len(data) // 2], length=len(data) or 8, head=handler.command == "HEAD")
    handler.close_connection = True


def _late(handler: Handler) -> None:
    time.sleep(0.4)
    handler.close_connection = True


def _unkept(handler: Handler) -> None:
    if handler.command == "PUT":
        handler.answer(201)
    else:
        held = handler.store.names.get(handler.name)
        handler.answer(404 if held is None else 200, held or b"", head=handler.command == "HEAD")


def _newer(handler: Handler) -> None:
    data = handler.store.names.get(handler.name, b"")
    body = b"2\n" if handler.name == "VERSION" else b'{"v": 2, "holder": "eve", "released": false}'
    if handler.name.startswith("receipts/") and data:
        body = seal({**unseal(data), "v": 2})
    handler.answer(200, body, head=handler.command == "HEAD")


ANSWERS: dict[str, Fault] = {
    "a login page": _body(200, b"<html>please log in</html>"),
    "nothing with 200": _body(200, b""),
    "other JSON": _body(200, b'{"ok": true}'),
    "half with 206": _body(206, b"1\n"),
    "truncated": _truncated,
    "301 to a login": _moved,
    "401": _body(401, b""),
    "403": _body(403, b"<html>forbidden</html>"),
    "404": _body(404, b"not found"),
    "500": _body(500, b""),
    "no answer": _late,
    "a newer version": _newer,
    "acknowledged and not kept": _unkept,
}
OBJECTS = ["VERSION", "receipts/", "blobs/", "claims/", "everything"]
BUILDS = ["locked", "keys", "claims", "derived"]
PROVEN_ABSENT = {
    ("404", "receipts/", "keys"),
    ("404", "receipts/", "claims"),
    ("404", "blobs/", "locked"),
    ("404", "blobs/", "derived"),
}
"""The store's own word, with its VERSION readable: what nobody made may be bought, what the lockfile names is lost."""
PLAIN = (
    "is no shared cache", "has no VERSION", "did not answer", "refused the credentials", "holds other bytes", "newer qwenbuild",
    "update qwenbuild", "can be read", "readable", "complete picture", "did not keep", "not its picture", "does not accept PUT",
)  # fmt: skip


class Hung(BaseException):
    """A build did not come to its end."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    def hung(*_: object) -> None:
        raise Hung(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Drawn:
    """What `ann` drew and pushed, signed: the store's objects, and her place."""

    names: dict[str, bytes]
    place: Path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawn]:
    place = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch, web_store() as store:
        patch.setenv("QWENBUILD_TEAM_KEY", TEAM_KEY)
        text = MANIFEST.replace("version: 1", "version: 1\nremote_derived: true")
        assert Team(place, store.url, patch, text).machine("ann").build(push=True).exit_code == 0
        yield Drawn(dict(store.names), place)


@pytest.fixture
def team(drawn: Drawn, tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch) -> Team:
    """`ann`, who drew everything, and a store that has it; requests are not repeated."""
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", TEAM_KEY)
    monkeypatch.setattr("qwenbuild.remote.web.TRIES", 1)
    made = Team(tmp_path, web.url, monkeypatch, MANIFEST)
    shutil.copytree(drawn.place, tmp_path, dirs_exist_ok=True)
    made.machines["ann"] = Machine(tmp_path / "ann" / "project", tmp_path / "ann" / "cache", team=made)
    web.names.update(drawn.names)
    return made


def second(team: Team, kind: str) -> Machine:
    """A machine that has nothing and takes everything from the store, each time in another way."""
    words = {"keys": "trust: keys", "claims": "claims: true", "derived": "remote_derived: true"}
    machine = team.clone("bob") if kind in ("locked", "derived") else team.machine("bob")
    machine.manifest(MANIFEST.replace("version: 1", f"version: 1\n{words.get(kind, 'trust: lockfile')}"))
    return machine


def faulty(web: WebStore, prefix: str, fault: Fault) -> Callable[[Handler], bool]:
    def answered(handler: Handler) -> bool:
        if prefix != "everything" and not handler.name.startswith(prefix):
            return False
        fault(handler)
        return True

    return answered


@contextmanager
def impatient(answer: str) -> Iterator[None]:
    """Requests time out soon, where no answer comes."""
    with pytest.MonkeyPatch.context() as patch:
        if answer == "no answer":
            patch.setattr("qwenbuild.remote.web.httpx.Timeout", lambda *_, **__: SHORT)
        yield


def said(summary: Summary) -> str:
    return " | ".join(message for _, _, message in summary.failures)


def _matrix() -> Iterator[ParameterSet]:
    """Every answer for every object in every build; of four builds CI takes one, another for each answer and object."""
    for row, answer in enumerate(ANSWERS):
        for column, prefix in enumerate(OBJECTS):
            for number, kind in enumerate(BUILDS):
                often = (row + column + number) % len(BUILDS) == 0
                yield pytest.param(answer, prefix, kind, marks=() if often else pytest.mark.slow)


@pytest.mark.parametrize(("answer", "prefix", "kind"), list(_matrix()))
def test_no_answer_of_a_store_buys_deletes_or_hangs(team: Team, web: WebStore, answer: str, prefix: str, kind: str) -> None:
    machine = second(team, kind)
    held = {name: body for name, body in web.names.items() if not name.startswith("claims/")}
    web.asked.clear()
    web.fault = faulty(web, prefix, ANSWERS[answer])
    with deadline(HANGS_S), impatient(answer):
        summary = machine.build()
    assert "Traceback" not in said(summary)
    if (answer, prefix, kind) in PROVEN_ABSENT:
        assert sorted(machine.submitted) == ["coins/a", "coins/b"]
        return
    assert machine.submitted == []
    assert {name: body for name, body in web.names.items() if not name.startswith("claims/")} == held
    assert not [name for how, name in web.asked if how == "DELETE" and not name.startswith("claims/")]
    if summary.exit_code:
        assert any(words in said(summary) for words in PLAIN), said(summary)
        assert "nothing was bought" in said(summary)
    if prefix != "everything":
        return
    web.fault = None
    with deadline(HANGS_S):
        later = machine.build()
    assert (later.exit_code, machine.submitted) == (0, []), said(later)
    assert machine.tree() == team.machines["ann"].tree()


@pytest.mark.parametrize("prefix", ["VERSION", "receipts/", "blobs/"])
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_no_mutated_object_of_a_store_buys_a_picture_again(team: Team, web: WebStore, prefix: str, part: int) -> None:
    """A field dropped, null, of another type; the whole cut, doubled, a page: each in the place of one object."""
    held = dict(web.names)
    name = min(name for name in held if name.startswith(prefix))
    made = list(mutants(held[name]))[part::PARTS]
    for number, mutant in enumerate(made):
        web.names.clear()
        web.names.update({**held, name: mutant.body})
        machine = team.machine(f"bob{number}")
        machine.manifest(MANIFEST.replace("version: 1", "version: 1\ntrust: keys"))
        with deadline(HANGS_S):
            summary = machine.build()
        assert (machine.submitted, "Traceback" in said(summary)) == ([], False), mutant.name
        web.names.clear()
        web.names.update(held)
        with deadline(HANGS_S):
            assert machine.build().exit_code == 0, mutant.name
        assert machine.submitted == [], mutant.name
    assert made


@pytest.mark.parametrize("prefix", ["VERSION", "receipts/", "blobs/", "everything"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_answer_of_a_store_makes_a_push_hang_or_boast(team: Team, web: WebStore, answer: str, prefix: str) -> None:
    """`build --push` into an empty store: what it says is there is there, or it says what is not."""
    web.names.clear()
    machine = team.machines["ann"]
    web.fault = faulty(web, prefix, ANSWERS[answer])
    with deadline(HANGS_S), impatient(answer):
        summary = machine.build(push=True)
    assert machine.submitted == []
    assert machine.cache().known_blobs() >= set(machine.digests())
    kept = sum(name.startswith(("blobs/", "receipts/")) for name in web.names)
    if kept < 6:
        assert summary.exit_code == 1
        assert "shared cache" in said(summary)
        assert any(words in said(summary) for words in PLAIN), said(summary)
    web.fault = None
    assert machine.build(push=True).exit_code == 0
    assert sum(name.startswith(("blobs/", "receipts/")) for name in web.names) == 6


@pytest.mark.parametrize("kind", ["locked", "keys", "claims"])
def test_a_server_that_loses_its_way_between_two_answers_is_not_believed(team: Team, web: WebStore, kind: str) -> None:
    """VERSION is there at first; then everything is "not found", VERSION, too."""
    machine = second(team, kind)
    seen: list[str] = []

    def lost(handler: Handler) -> bool:
        if handler.name == "VERSION" and not seen:
            seen.append(handler.name)
            return False
        if handler.name.startswith("claims/"):
            return False
        handler.answer(404, head=handler.command == "HEAD")
        return True

    web.fault = lost
    with deadline(HANGS_S):
        summary = machine.build()
    assert (summary.exit_code, machine.submitted) == (1, [])
    assert "has no VERSION" in said(summary)


def test_a_receipt_that_is_whole_and_not_signed_is_not_believed_and_stops_nobody(team: Team, web: WebStore) -> None:
    """Whoever can write to the store could stop everybody otherwise; what is bought then is what nobody of the team drew."""
    for name in [name for name in web.names if name.startswith("receipts/")]:
        record = unseal(web.names[name])
        del record["hmac"]
        web.names[name] = seal(record)
    machine = second(team, "keys")
    assert machine.build().exit_code == 0
    assert sorted(machine.submitted) == ["coins/a", "coins/b"]


def test_a_newer_receipt_is_not_replaced_by_a_push(team: Team, web: WebStore) -> None:
    newer = {name: seal({**unseal(body), "v": 2}) for name, body in web.names.items() if name.startswith("receipts/")}
    web.names |= newer
    summary = team.machines["ann"].build(push=True)
    assert "was made by a newer qwenbuild" in said(summary)
    assert {name: web.names[name] for name in newer} == newer


def test_a_broken_receipt_is_written_again_by_a_push(team: Team, web: WebStore) -> None:
    whole = {name: body for name, body in web.names.items() if name.startswith("receipts/")}
    web.names |= dict.fromkeys(whole, b"<html>")
    assert team.machines["ann"].build(push=True).exit_code == 0
    assert all(unseal(web.names[name])["key"] == unseal(body)["key"] for name, body in whole.items())
