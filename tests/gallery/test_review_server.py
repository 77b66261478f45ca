"""The review over HTTP: whom it answers, what it writes, what it refuses to overwrite, and what may cost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from qwenbuild import review
from qwenbuild.emulator import Served as Emulated
from qwenbuild.review import session as reviewing
from qwenbuild.review.server import _signature, look_again
from qwenbuild.verbs import choices, notes
from tests.walking import Project

SHIELDS = """\
version: 1
provider: dashscope
budget: {usd: "0.10"}
providers:
  dashscope: {region: singapore, mode: auto, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}}
assets:
  shields:
    prompt: "a {{ color }} shield"
    model: qwen-image-plus
    matrix: {color: [red, blue]}
"""


@dataclass
class Desk:
    """A review with a browser's cookie, origin and patience."""

    served: review.ServedReview
    client: httpx.Client
    heard: list[dict[str, Any]] = field(default_factory=list)

    def card(self, id: str) -> dict[str, Any]:
        return next(card for card in self.client.get("/cards").json()["cards"] if card["id"] == id)

    def choose(self, verb: str, *ids: str, stamps: dict[str, str] | None = None, **said: Any) -> httpx.Response:
        entries = stamps or {id: self.card(id)["stamp"] for id in ids}
        return self.client.post("/choose", json={"verb": verb, "entries": entries, **said})

    def build(self, *ids: str, **consent: Any) -> dict[str, Any]:
        """Build, and what was said at its end."""
        price = {**self.client.post("/price", json={"ids": list(ids)}).json(), **consent}
        answer = self.client.post("/build", json={"ids": list(ids), "cost": price["cost"], "unknown": price["unknown"]})
        assert answer.status_code == 202
        self.served.session.wait()
        return next(event for event in reversed(self.heard) if event["type"] == "building")


@contextmanager
def desk(project: Project, *, choosing: bool = True) -> Iterator[Desk]:
    with review.serve(project.options(), choosing=choosing) as served:
        client = httpx.Client(base_url=served.origin, headers={"origin": served.origin}, trust_env=False)
        with client:
            entered = client.get("/", params={"token": served.token})
            assert (entered.status_code, entered.headers["location"]) == (303, "/")
            made = Desk(served, client)
            served.session.listen(lambda said: made.heard.append(dict(said)))
            yield made


@pytest.fixture
def table(heroes: Project) -> Iterator[Desk]:
    with desk(heroes) as made:
        yield made


def locked(project: Project, id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.lock.read_bytes())["entries"][id]
    return found


# ---------------------------------------------------------------- whom it answers


def bare(table: Desk, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=table.served.origin, headers=headers, trust_env=False)


@pytest.mark.parametrize("path", ["/", "/cards", "/events", "/thumbs/x", "/pictures/x", "/?token=", "/?token=wrong"])
def test_without_the_token_nothing_is_answered(table: Desk, path: str) -> None:
    with bare(table) as client, client.stream("GET", path) as answer:
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "heroes" not in answer.read().decode()


def test_the_token_in_an_address_opens_the_first_page_only(table: Desk) -> None:
    with bare(table) as client:
        assert client.get("/cards", params={"token": table.served.token}).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(table: Desk) -> None:
    with bare(table) as client:
        cookie = client.get("/", params={"token": table.served.token}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert str(table.served.port) in cookie.partition("=")[0]


@pytest.mark.parametrize("host", ["attacker.invalid", "127.0.0.1", "127.0.0.1:1", "localhost.attacker.invalid:80", ""])
def test_a_foreign_host_is_refused_even_with_the_cookie(table: Desk, host: str) -> None:
    assert table.client.get("/cards", headers={"host": host}).status_code in (400, 421)


@pytest.mark.parametrize("origin", ["http://attacker.invalid", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_another_origin_is_refused_even_with_the_cookie(table: Desk, heroes: Project, origin: str) -> None:
    before = heroes.lock.read_bytes()
    stamp = table.card("icons/key")["stamp"]
    body = {"verb": "approve", "entries": {"icons/key": stamp}}
    assert table.client.post("/choose", json=body, headers={"origin": origin}).status_code == 403
    assert table.client.get("/cards", headers={"origin": origin}).status_code == 403
    assert heroes.lock.read_bytes() == before


def test_a_change_that_says_no_origin_is_refused(table: Desk) -> None:
    with bare(table, cookie=f"qwenbuild-review-{table.served.port}={table.served.token}") as client:
        assert client.get("/cards").status_code == 200
        assert client.post("/choose", json={"verb": "approve", "entries": {}}).status_code == 403


def test_a_request_from_another_site_is_refused_by_what_the_browser_says_of_it(table: Desk) -> None:
    for site in ("cross-site", "same-site"):
        assert table.client.get("/cards", headers={"sec-fetch-site": site}).status_code == 403


def test_paths_lead_to_pictures_of_the_page_and_nowhere_else(table: Desk, heroes: Project) -> None:
    digest = table.card("icons/key")["candidates"][0]["digest"]
    assert table.client.get(f"/pictures/{digest}").headers["content-type"] == "image/png"
    assert table.client.get(f"/thumbs/{digest}-480.webp").headers["content-type"] == "image/webp"
    for path in (
        f"/pictures/{'0' * 64}",
        "/pictures/../qwenbuild.yaml",
        "/pictures/..%2f..%2fqwenbuild.yaml",
        "/thumbs/../qwenbuild.lock",
        f"/thumbs/..%2f{digest}-480.webp",
        f"/thumbs/{digest}-9999.webp",
        f"/thumbs/{digest}-480.webp%00",
        "/qwenbuild.yaml",
        "//etc/passwd",
    ):
        answer = table.client.get(path)
        assert answer.status_code == 404
        assert b"version" not in answer.content


def test_a_picture_of_the_cache_that_is_not_on_the_page_is_not_served(table: Desk, heroes: Project) -> None:
    digest = heroes.cache().put_blob(b"somebody else's picture")
    assert table.client.get(f"/pictures/{digest}").status_code == 404


def test_every_answer_forbids_framing_sniffing_and_keeping(table: Desk) -> None:
    for path in ("/", "/cards", "/nowhere"):
        headers = table.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
    assert table.client.get("/").headers["content-security-policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"verb": 1}',
        '{"verb": "approve", "entries": []}',
        '{"verb":"pick","entries":{},"number":"1"}',
        "[" * 9999,
    ],
)
def test_what_no_page_of_ours_sends_is_a_bad_request(table: Desk, body: str) -> None:
    answer = table.client.post("/choose", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_a_form_cannot_choose(table: Desk) -> None:
    assert table.client.post("/choose", data={"verb": "approve"}).status_code == 400


def test_it_listens_on_loopback_only(table: Desk) -> None:
    assert table.served.origin == f"http://127.0.0.1:{table.served.port}"


# ---------------------------------------------------------------- choosing


def test_each_verb_writes_the_lockfile(table: Desk, heroes: Project) -> None:
    assert table.choose("pick", "heroes/knight", number=2).json()["words"][0].startswith("heroes/knight: candidate 2 is picked")
    assert locked(heroes, "heroes/knight")["picked"] == table.card("heroes/knight")["candidates"][1]["key"]
    table.choose("unpick", "heroes/knight")
    assert "picked" not in locked(heroes, "heroes/knight")
    table.choose("reject", "heroes/bard", number=1)
    assert len(locked(heroes, "heroes/bard")["rejected"]) == 1
    table.choose("admit", "heroes/bard", number=1)
    assert "rejected" not in locked(heroes, "heroes/bard")
    table.choose("approve", "icons/key", "icons/bow")
    assert locked(heroes, "icons/key")["approved"]
    assert locked(heroes, "icons/bow")["approved"]
    table.choose("release", "icons/key")
    assert "approved" not in locked(heroes, "icons/key")


def test_a_note_stands_in_the_lockfile(table: Desk, heroes: Project) -> None:
    before = heroes.lock.read_bytes()
    answer = table.choose("note", "icons/key", text="<b>shiny</b>")
    assert answer.json()["cards"][0]["note"] == "<b>shiny</b>"
    assert locked(heroes, "icons/key")["note"] == "<b>shiny</b>"
    assert table.choose("note", "icons/key", text="\r\n").json()["words"] == ["icons/key: note removed"]
    assert heroes.lock.read_bytes() == before


def test_a_note_to_an_entry_without_a_record_is_refused_with_what_helps(table: Desk, heroes: Project) -> None:
    heroes.edit("axe, map]", "axe, map, compass]")
    look_again(table.served.session)
    assert not table.card("icons/compass")["locked"]
    before = heroes.lock.read_bytes()
    answer = table.choose("note", "icons/compass", text="brass, please")
    assert answer.status_code == 422
    assert "it was not saved. `qwenbuild build` makes it" in answer.json()["words"]
    assert heroes.lock.read_bytes() == before


def test_a_note_over_one_that_the_page_has_not_seen_overwrites_nothing(table: Desk, heroes: Project) -> None:
    stale = table.card("icons/key")["stamp"]
    notes.note(heroes.options(), "icons/key", "of the command line")
    answer = table.choose("note", stamps={"icons/key": stale}, text="of the page")
    assert (answer.status_code, answer.json()["cards"][0]["note"]) == (409, "of the command line")
    assert locked(heroes, "icons/key")["note"] == "of the command line"


def test_a_stale_page_overwrites_nothing_and_is_told_the_newer_state(table: Desk, heroes: Project) -> None:
    stale = table.card("heroes/knight")["stamp"]
    assert table.choose("pick", "heroes/knight", number=2).status_code == 200
    before = heroes.lock.read_bytes()
    answer = table.choose("pick", stamps={"heroes/knight": stale}, number=3)
    assert answer.status_code == 409
    assert answer.json()["cards"][0]["candidates"][1]["picked"]
    assert heroes.lock.read_bytes() == before


def test_a_choice_of_the_command_line_makes_a_page_stale_too(table: Desk, heroes: Project) -> None:
    stale = {id: table.card(id)["stamp"] for id in ("heroes/knight", "icons/key")}
    choices.pick(heroes.options(), "heroes/knight", 3)
    answer = table.choose("approve", stamps=stale)
    assert (answer.status_code, [card["id"] for card in answer.json()["cards"]]) == (409, ["heroes/knight"])
    assert "approved" not in locked(heroes, "icons/key")


def test_choices_on_other_entries_do_not_make_a_page_stale(table: Desk) -> None:
    stamp = table.card("icons/key")["stamp"]
    table.choose("pick", "heroes/knight", number=2)
    assert table.choose("approve", stamps={"icons/key": stamp}).status_code == 200


def test_what_a_verb_refuses_is_said_and_changes_nothing(table: Desk, heroes: Project) -> None:
    table.choose("approve", "heroes/knight")
    before = heroes.lock.read_bytes()
    answer = table.choose("pick", "heroes/knight", number=2)
    assert answer.status_code == 422
    assert "is approved" in answer.json()["words"]
    assert table.choose("pick", "icons/key", number=7).status_code == 422
    assert table.choose("vanish", "icons/key").status_code == 422
    assert table.choose("note", "icons/key", text="x" * 5000).status_code == 422
    assert heroes.lock.read_bytes() == before


def test_twelve_writers_at_once_lose_nothing(table: Desk, heroes: Project) -> None:
    ids = [card["id"] for card in table.client.get("/cards").json()["cards"] if card["asset"] == "icons"]
    stamps = {id: table.card(id)["stamp"] for id in ids}
    answers: list[int] = []

    def approve(id: str) -> None:
        answers.append(table.choose("approve", stamps={id: stamps[id]}).status_code)

    threads = [threading.Thread(target=approve, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 12
    assert all(locked(heroes, id)["approved"] for id in ids)


def test_a_broken_manifest_is_said_and_the_page_stays(table: Desk, heroes: Project) -> None:
    heroes.manifest("version: [")
    look_again(table.served.session)
    assert table.heard[-1]["type"] == "problem"
    assert len(table.client.get("/cards").json()["cards"]) == 15


# ---------------------------------------------------------------- the stream


def test_tabs_hear_what_others_choose(table: Desk) -> None:
    with table.client.stream("GET", "/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        hello = json.loads(next(lines)[6:])
        assert hello["type"] == "hello"
        table.choose("pick", "heroes/knight", number=2)
        event = json.loads(next(lines)[6:])
    assert (event["type"], [card["id"] for card in event["cards"]]) == ("cards", ["heroes/knight"])
    assert event["version"] == hello["version"] + 1


def test_a_change_from_outside_reaches_the_page_by_itself(table: Desk, heroes: Project) -> None:
    choices.approve(heroes.options(), ["icons/key"])
    deadline = time.monotonic() + 10
    while not any(event["type"] == "cards" for event in table.heard):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert table.heard[-1]["cards"][0]["marks"] == ["approved"]


# ---------------------------------------------------------------- what costs


@pytest.fixture
def shop(walked: Project, emulated: Emulated) -> Iterator[tuple[Desk, Project, Emulated]]:
    """Two shields that were paid for, and a budget for three pictures."""
    walked.manifest(SHIELDS)
    assert walked.build().exit_code == 0
    with desk(walked) as made:
        yield made, walked, emulated


def test_a_reroll_costs_nothing_until_its_price_is_agreed_to(shop: tuple[Desk, Project, Emulated]) -> None:
    table, _, emulated = shop
    assert table.choose("reroll", "shields/red").status_code == 200
    assert len(emulated.ledger()) == 2
    price = table.client.post("/price", json={"ids": ["shields/red"]}).json()
    assert (price["pictures"], price["cost"], price["words"], price["stop"]) == (1, {"usd": "0.03"}, "$0.03", "")
    ended = table.build("shields/red")
    assert (ended["bad"], ended["words"]) == (False, "Built: 1 entry made, $0.03 spent")
    assert len(emulated.ledger()) == 3
    assert [bool(one["digest"]) for one in table.card("shields/red")["candidates"]] == [True, True]
    assert any(event["type"] == "progress" and event["event"] == "stored" for event in table.heard)


@pytest.mark.parametrize("consent", [{"cost": {"usd": "0.02"}}, {"cost": {}}, {"cost": None}, {"unknown": 1}])
def test_consent_to_another_price_sends_nothing(shop: tuple[Desk, Project, Emulated], consent: dict[str, Any]) -> None:
    table, _, emulated = shop
    table.choose("reroll", "shields/red")
    ended = table.build("shields/red", **consent)
    assert ended["bad"]
    assert len(emulated.ledger()) == 2


def test_the_budget_stops_what_a_click_agreed_to(shop: tuple[Desk, Project, Emulated]) -> None:
    table, project, emulated = shop
    project.edit("[red, blue]", "[red, blue, green, grey, gold, pink]")
    look_again(table.served.session)
    price = table.client.post("/price", json={"ids": []}).json()
    assert "budget" in price["stop"]
    assert "budget" in table.build()["words"]
    assert len(emulated.ledger()) == 2


def test_one_build_at_a_time_and_choices_beside_it(shop: tuple[Desk, Project, Emulated]) -> None:
    table, project, emulated = shop
    emulated.configure(latency=1.0)
    try:
        table.choose("reroll", "shields/red")
        body = {"ids": ["shields/red"], "cost": {"usd": "0.03"}, "unknown": 0}
        assert table.client.post("/build", json=body).status_code == 202
        assert table.client.post("/build", json=body).status_code == 409
        assert table.choose("approve", "shields/blue").status_code == 200
        assert table.choose("note", "shields/red", text="paler").status_code == 200
        table.served.session.wait()
    finally:
        emulated.configure(latency=0.05)
    assert locked(project, "shields/blue")["approved"]
    assert len(locked(project, "shields/red")["candidates"]) == 1
    assert locked(project, "shields/red")["note"] == "paler"
    assert len(emulated.ledger()) == 3


def test_agreement_is_to_the_bill_that_was_shown(heroes: Project) -> None:
    planned = heroes.plan()
    assert reviewing.agrees(planned, {"cost": {}, "unknown": 0})
    assert not reviewing.agrees(planned, {"cost": {"usd": "1"}, "unknown": 0})


def test_an_ended_review_tells_its_tabs_and_leaves_at_once(heroes: Project, caplog: pytest.LogCaptureFixture) -> None:
    with review.serve(heroes.options()) as served:
        client = httpx.Client(base_url=served.origin, trust_env=False)
        client.get("/", params={"token": served.token})
        stream = client.send(client.build_request("GET", "/events"), stream=True)
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(lines)[6:])["type"] == "hello"
    assert [json.loads(line[6:])["type"] for line in lines] == ["ended"]
    client.close()
    assert caplog.records == []


# ---------------------------------------------------------------- what the page compares, and small pictures


def test_what_is_new_here_is_answered_to_nobody_without_the_token(table: Desk) -> None:
    digest = table.card("icons/key")["candidates"][0]["digest"]
    for path in (f"/differences/{digest}/{digest}", f"/thumbs/{digest}-112.webp"):
        with bare(table) as client:
            assert client.get(path).status_code == 403
        assert table.client.get(path, headers={"host": "evil.example"}).status_code == 421
        assert table.client.get(path, headers={"origin": "https://evil.example"}).status_code == 403
        assert table.client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    with bare(table, origin=table.served.origin) as client:
        assert client.post("/compare", json={"against": "main"}).status_code == 403
    assert table.client.post("/compare", json={"against": ""}, headers={"origin": "https://evil.example"}).status_code == 403
    assert table.client.post("/compare", data={"against": "main"}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/differences/{key}/" + "a" * 64,
        "/differences/{key}/..%2f..%2fqwenbuild.lock",
        "/differences/{key}/{key}x",
        "/differences//{key}",
        "/thumbs/{key}-113.webp",
        "/thumbs/{key}-1024.webp",
        "/thumbs/" + "a" * 64 + "-480.webp",
        "/thumbs/..%2f{key}-112.webp",
        "/pictures/..%2f..%2fqwenbuild.yaml",
    ],
)
def test_only_what_the_page_shows_is_compared_or_served(table: Desk, path: str) -> None:
    digest = table.card("icons/key")["candidates"][0]["digest"]
    assert table.client.get(path.format(key=digest)).status_code == 404


def test_two_pictures_of_the_page_are_compared(table: Desk) -> None:
    one, other = (table.card(id)["candidates"][0]["digest"] for id in ("icons/key", "icons/bow"))
    assert 0 < table.client.get(f"/differences/{one}/{other}").json()["share"] <= 1
    assert table.client.get(f"/differences/{one}/{one}").json() == {"share": 0.0}


@pytest.mark.parametrize(
    "against", ["--output=/tmp/x", "../other/qwenbuild.lock", "/etc/passwd", "HEAD; rm -rf /", "main\x00", "$(id)", "a" * 199]
)
def test_a_revision_that_is_none_changes_nothing_and_reads_no_file(table: Desk, heroes: Project, against: str) -> None:
    before = (heroes.lock.read_bytes(), table.client.get("/cards").json())
    answer = table.client.post("/compare", json={"against": against})
    assert answer.status_code == 422
    assert "git knows no revision" in answer.json()["words"]
    assert (heroes.lock.read_bytes(), table.client.get("/cards").json()) == before


@pytest.mark.parametrize("body", [{}, {"against": 1}, {"against": ["main"]}, {"against": "a" * 201}])
def test_a_comparison_that_no_page_of_ours_asks_for_is_a_bad_request(table: Desk, body: dict[str, Any]) -> None:
    assert table.client.post("/compare", json=body).status_code == 400


def test_the_lockfile_is_something_to_compare_with_and_every_tab_hears_of_it(table: Desk, heroes: Project) -> None:
    (heroes.out / "icons" / "key.png").write_bytes((heroes.out / "icons" / "map.png").read_bytes())
    assert table.client.post("/compare", json={"against": "qwenbuild.lock"}).status_code == 200
    assert "changed" in table.card("icons/key")["marks"]
    heard = [event for event in table.heard if event["type"] == "cards"][-1]
    assert (heard["against"], [card["id"] for card in heard["cards"]]) == ("qwenbuild.lock", ["icons/key"])


def test_a_page_that_only_looks_can_neither_choose_nor_spend(heroes: Project) -> None:
    before = heroes.lock.read_bytes()
    with desk(heroes, choosing=False) as made:
        for path in ("/choose", "/price", "/build", "/compare"):
            assert made.client.post(path, json={"ids": [], "entries": {}, "verb": "approve", "against": ""}).status_code == 404
        text = made.client.get("/").text
    assert heroes.lock.read_bytes() == before
    assert "/choose" not in text
    assert "/build" not in text


# ---------------------------------------------------------------- many at once, and files at once


@pytest.mark.parametrize("numbers", [[1], {"icons/key": "1"}, {"icons/key": True}, {"heroes/bard": 1}])
def test_numbers_that_no_page_of_ours_sends_are_a_bad_request(table: Desk, numbers: object) -> None:
    assert table.choose("reject", "icons/key", numbers=numbers).status_code == 400


def test_rejections_are_taken_back_by_number_and_never_more_than_was_named(table: Desk, heroes: Project) -> None:
    for number in (1, 2):
        table.choose("reject", "heroes/bard", number=number)
    table.choose("reject", "heroes/knight", number=1)
    assert table.choose("admit", "heroes/bard", "heroes/knight").status_code == 422
    assert (
        table.choose("admit", "heroes/bard", "heroes/knight", numbers={"heroes/bard": 2, "heroes/knight": 1}).status_code == 200
    )
    assert len(locked(heroes, "heroes/bard")["rejected"]) == 1
    assert "rejected" not in locked(heroes, "heroes/knight")


def test_the_files_of_a_choice_are_made_and_nothing_is_bought_for_them(shop: tuple[Desk, Project, Emulated]) -> None:
    table, project, emulated = shop
    table.choose("reroll", "shields/red")
    table.build("shields/red")
    table.choose("reroll", "shields/red")  # a third one is wanted now, and nobody agreed to its price
    table.choose("pick", "shields/red", number=2)
    table.served.session.wait()
    picked = table.card("shields/red")["candidates"][1]["digest"]
    assert project.tree()["shields/red.png"] == picked
    assert len(emulated.ledger()) == 3


def test_a_row_of_rerolls_says_its_price_first_and_pays_exactly_that(shop: tuple[Desk, Project, Emulated]) -> None:
    table, project, emulated = shop
    before = project.lock.read_bytes()
    ids = ["shields/red", "shields/blue"]
    price = table.client.post("/price", json={"ids": ids, "reroll": True}).json()
    assert (price["pictures"], price["cost"], price["words"]) == (2, {"usd": "0.06"}, "$0.06")
    assert project.lock.read_bytes() == before
    assert table.choose("reroll", *ids).status_code == 200
    answer = table.client.post("/build", json={"ids": ids, "cost": price["cost"], "unknown": price["unknown"]})
    assert answer.status_code == 202
    table.served.session.wait()
    assert len(emulated.ledger()) == 4


def test_a_reroll_beyond_the_budget_stops_at_its_price(shop: tuple[Desk, Project, Emulated]) -> None:
    table, project, _ = shop
    project.edit('usd: "0.10"', 'usd: "0.05"')
    look_again(table.served.session)
    price = table.client.post("/price", json={"ids": ["shields/red", "shields/blue"], "reroll": True}).json()
    assert "budget" in price["stop"]


@pytest.mark.parametrize("body", [{"ids": [], "reroll": True}, {"ids": ["icons/key"], "reroll": 1}])
def test_a_price_of_rerolls_names_its_entries(table: Desk, body: dict[str, Any]) -> None:
    assert table.client.post("/price", json=body).status_code == 400


def test_looking_changes_nothing_that_is_watched(table: Desk) -> None:
    before = _signature(table.served.session.watched())
    table.served.session.refresh()
    assert _signature(table.served.session.watched()) == before
