"""A picture that is paid for and does not come: asked for again, taken up by the next build, and never bought a second time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache import Attempt
from qwenbuild.emulator import Served
from qwenbuild.emulator.jobs import Fate
from qwenbuild.errors import NOT_FETCHED
from qwenbuild.images import placeholder_png
from qwenbuild.images.structure import PNG_SIGNATURE
from qwenbuild.model import Action, Outcome, Picture, Ticket
from qwenbuild.providers.dashscope.provider import DashScope
from qwenbuild.report.words import reason_words
from qwenbuild.run import recover
from qwenbuild.run.submit import Job
from qwenbuild.run.world import Times, World
from qwenbuild.verbs import spend
from tests.campaign.part_http import Hurry, hurried
from tests.providers.bench import action
from tests.test_walk_errors import APIS, lead, stock, submissions, words
from tests.walking import Project

HOSTED = [api for api in APIS if api != "openai"]
PAGE = "<html><title>Log in</title></html>"
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "a login page": ("html", {}),
    "text": ("not_a_picture", {}),
    "nothing": ("empty", {}),
    "a bit flipped": ("corrupt", {}),
    "half, with a length": ("half_body", {}),
    "half, without a length": ("cut_without_length", {}),
    "half, in chunks": ("cut_chunked", {}),
    "more than there is": ("oversize", {"bytes": 4 << 20}),
    "far more than may come": ("oversize", {"bytes": 9 << 20}),
    "half of it compressed": ("gzip_cut", {}),
    "a bomb": ("gzip_bomb", {"bytes": 1 << 22}),
    "reset": ("reset", {}),
    "a proxy's 403": ("status", {"status": 403, "body": PAGE}),
    "a proxy's 404": ("status", {"status": 404, "body": PAGE}),
    "a proxy's 407": ("status", {"status": 407, "body": PAGE}),
    "401": ("status", {"status": 401}),
    "410": ("status", {"status": 410}),
    "503": ("status", {"status": 503}),
    "the storage's 403, before the link's end": ("expired", {}),
    "a redirect in a loop": ("redirect", {"to": "loop"}),
    "a redirect inside": ("redirect", {"to": "internal"}),
}
"""Whatever may come in the place of a picture."""


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture
def shop(walked: Project, emulated: Served) -> Project:
    emulated.configure(latency=0.02)
    return walked


def states(project: Project) -> list[str]:
    return sorted(attempt.state.value for attempt in project.cache().journal.attempts())


def wares(shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    lead(monkeypatch, emulated, api)
    stock(shop, f"{APIS[api]}, timeout: 15", 1)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("api", HOSTED)
def test_what_is_no_picture_never_makes_a_paid_one_be_given_up(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, kind: str
) -> None:
    wares(shop, emulated, monkeypatch, api)
    fault, rule = BAD[kind]
    emulated.fault("download", fault, times=None, **rule)
    first = shop.build()
    assert (first.exit_code, first.counts) == (1, {"failed": 1})
    ((_, code, message),) = first.failures
    assert code == "not-fetched"
    assert message.startswith(NOT_FETCHED)
    (attempt,) = shop.cache().journal.attempts()
    assert (attempt.state.value, attempt.live, bool(attempt.url)) == ("ready", True, True)
    assert attempt.ticket is not None
    assert shop.verdicts() == {"rows/0": "resume"}
    again = shop.build(retry_failed=True)
    assert (again.exit_code, again.spent, shop.submitted) == (1, {}, [])
    emulated.clear_faults()
    last = shop.build(retry_failed=True)
    assert (last.exit_code, last.counts, last.spent) == (0, {"resumed": 1}, {})
    assert submissions(emulated) == [words(0)]
    assert states(shop) == ["stored"]


@pytest.mark.parametrize("api", HOSTED)
def test_a_picture_that_comes_compressed_is_the_picture(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    wares(shop, emulated, monkeypatch, api)
    emulated.fault("download", "gzip", times=None)
    assert shop.build().exit_code == 0
    assert [path.name for path in shop.out.rglob("*.png")] == ["0.png"]


def test_a_bad_transfer_is_asked_again_with_growing_pauses_until_the_jobs_time_is_over(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope sync")
    stock(shop, APIS["dashscope sync"], 1)
    emulated.fault("download", "html", times=20)
    summary = shop.build()
    assert (summary.exit_code, summary.counts, summary.spent) == (0, {"generated": 1}, {"usd": Decimal("0.03")})
    told = [str(event.data["message"]) for event in shop.events.events if event.event == "retry"]
    assert all(NOT_FETCHED in message and "web page" in message for message in told)
    pauses = [float(message.rsplit(" in ", 1)[1].removesuffix(" s")) for message in told]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * max(1.0, pauses[0])


def test_what_was_paid_for_and_not_fetched_is_called_so_everywhere_and_stays_on_the_bill(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    wares(shop, emulated, monkeypatch, "dashscope sync")
    emulated.fault("download", "html", times=None)
    assert shop.build().spent == {"usd": Decimal("0.03")}
    (line,) = spend(shop.options()).attempts
    assert (line["outcome"], line["price"], line["code"]) == ("ready", {"usd": "0.03"}, "not-fetched")
    assert line["message"].startswith(NOT_FETCHED)
    (step,) = shop.plan().plan.steps
    assert reason_words(step.reasons[0]).startswith(NOT_FETCHED)
    assert "Signature" not in reason_words(step.reasons[0])


def build_with(project: Project, times: Times) -> Any:
    with mock.patch("qwenbuild.engine.context.World", functools.partial(World, waits=Hurry().waits(), times=times)):
        return project.build()


@pytest.mark.parametrize(
    ("kind", "times", "exit_code"),
    [
        ("expired", Times(), 1),
        ("expired", Times(link=0.0), 6),
        ("html", Times(link=0.0), 1),
        ("status", Times(link=0.0), 1),
        ("reset", Times(link=0.0), 1),
        ("html", Times(link=0.0, overdue=0.0), 6),
    ],
)
@pytest.mark.parametrize("api", ["dashscope sync", "dashscope async"])
def test_only_the_storages_own_word_after_the_links_end_puts_a_picture_in_doubt(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, kind: str, times: Times, exit_code: int
) -> None:
    wares(shop, emulated, monkeypatch, api)
    emulated.fault("download", kind, times=None, **({"status": 404} if kind == "status" else {}))
    assert build_with(shop, times).exit_code == exit_code
    assert states(shop) == ["doubt" if exit_code == 6 else "ready"]
    assert shop.build(retry_failed=True).exit_code == exit_code
    assert submissions(emulated) == [words(0)]


@pytest.mark.parametrize("fate", ["failed", "unknown", "no_url", "canceled", "item_error"])
@pytest.mark.parametrize("api", ["dashscope async", "apiframe", "qwen2512"])
def test_a_picture_that_was_made_stays_made_whatever_a_later_answer_says_of_its_task(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, fate: str
) -> None:
    wares(shop, emulated, monkeypatch, api)
    emulated.fault("download", "html", times=None)
    assert shop.build().exit_code == 1
    (job,) = emulated.core.book.by_id.values()
    job.fate = Fate(fate, "InternalError", "as ordered")
    assert shop.build(retry_failed=True).exit_code == 1
    assert states(shop) == ["ready"]
    assert submissions(emulated) == [words(0)]


def test_every_further_picture_of_one_paid_answer_is_kept(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    wares(shop, emulated, monkeypatch, "dashscope sync")
    further = tuple(placeholder_png(action("dashscope", prompt=f"further {number}", size="64*64")) for number in range(3))
    real = DashScope.collect

    async def collect(self: DashScope, ticket: Ticket, wanted: Action) -> Picture:
        return replace(await real(self, ticket, wanted), others=further)

    monkeypatch.setattr(DashScope, "collect", collect)
    assert shop.build().exit_code == 0
    cache = shop.cache()
    assert [cache.read_blob(hashlib.sha256(data).hexdigest()) for data in further] == list(further)


def test_a_picture_that_is_damaged_on_its_way_is_kept_aside_and_named(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    wares(shop, emulated, monkeypatch, "dashscope sync")
    emulated.fault("download", "corrupt", times=None)
    ((_, _, message),) = shop.build().failures
    (aside,) = [path for path in (shop.cache_dir / "quarantine").iterdir() if not path.suffix]
    assert aside.read_bytes().startswith(PNG_SIGNATURE)
    assert str(aside) in message


def test_a_stop_does_not_hide_that_a_picture_is_paid_for(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope sync")
    stock(shop, APIS["dashscope sync"], 2)
    emulated.fault("download", "html", match=words(0), times=None)
    emulated.fault("submit", "refuse", status=400, code="Arrearage", message="as ordered", match=words(1))
    summary = shop.build()
    assert ("rows/0", "not-fetched") in {(id, code) for id, code, _ in summary.failures}
    assert [attempt.state.value for attempt in shop.cache().journal.attempts() if attempt.entry == "rows/0"] == ["ready"]


def test_many_pictures_that_cannot_be_fetched_hold_the_next_build_up_once_and_not_each(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope sync")
    stock(shop, f"{APIS['dashscope sync']}, timeout: 15", 20, concurrency=20)
    emulated.fault("download", "html", times=None)
    assert shop.build().counts == {"failed": 20}
    began: list[float] = []
    real = recover.carry_on

    async def carry_on(job: Job, attempt: Attempt) -> Outcome:
        began.append(job.retries.started)
        return await real(job, attempt)

    monkeypatch.setattr(recover, "carry_on", carry_on)
    assert shop.build().counts == {"failed": 20}
    assert (len(began), len(set(began))) == (20, 1)
    assert len(submissions(emulated)) == 20
