"""A server of one's own: its picture is read however it is spelled, and what was lost is asked for again, by nobody's leave."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from qwenbuild.emulator import Served
from tests.campaign.part_http import hurried
from tests.test_walk_errors import APIS, lead, stock, submissions, words
from tests.walking import Project

PRICED = "\nmodels: {Qwen/Qwen-Image-2512: {price: {usd: '0.01'}}}\n"
READ = ("plain", "data_url", "lines", "url_safe", "data_in_url", "url", "relative_url", "one")
LOST = ("none", "error", "cut")
FAULTS = ("reset", "close", "half_header", "half_body", "html", "empty", "gzip_cut")


class Died(BaseException):
    """The process ends here, as far as the code under test can tell."""


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture
def gpu(walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch) -> Project:
    emulated.configure(latency=0.02)
    lead(monkeypatch, emulated, "openai")
    stock(walked, APIS["openai"], 1)
    return walked


def priced(project: Project) -> None:
    project.manifest((project.folder / "qwenbuild.yaml").read_text() + PRICED)


def states(project: Project) -> list[str]:
    return sorted(attempt.state.value for attempt in project.cache().journal.attempts())


def aside(project: Project) -> list[bytes]:
    folder = project.cache_dir / "quarantine"
    return [path.read_bytes() for path in folder.iterdir() if not path.suffix] if folder.exists() else []


@pytest.mark.parametrize("shape", READ)
def test_every_spelling_of_a_picture_is_read_at_the_first_try(gpu: Project, emulated: Served, shape: str) -> None:
    emulated.configure(answer_shape=shape)
    assert gpu.build().exit_code == 0
    assert submissions(emulated) == [words(0)]
    assert aside(gpu) == []


@pytest.mark.parametrize("shape", LOST)
def test_an_answer_without_a_picture_is_kept_asked_for_again_and_never_in_doubt(
    gpu: Project, emulated: Served, shape: str
) -> None:
    emulated.configure(answer_shape=shape)
    summary = gpu.build()
    assert (summary.exit_code, summary.counts) == (1, {"failed": 1})
    ((_, _, message),) = summary.failures
    assert "quarantine" in message
    assert ("CUDA out of memory" in message) is (shape == "error")
    assert len(aside(gpu)) >= 1
    assert len(submissions(emulated)) > 1
    assert set(states(gpu)) == {"failed"}
    emulated.configure(answer_shape="plain")
    assert gpu.build().exit_code == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_that_costs_nothing_is_asked_for_again(gpu: Project, emulated: Served, fault: str) -> None:
    emulated.fault("accepted", fault)
    assert gpu.build().exit_code == 0
    assert submissions(emulated) == [words(0)] * 2
    assert states(gpu) == ["stored"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_with_a_price_is_not_asked_again_for_an_answer_that_was_lost(
    gpu: Project, emulated: Served, fault: str
) -> None:
    priced(gpu)
    emulated.fault("accepted", fault)
    assert gpu.build().exit_code == 6
    assert submissions(emulated) == [words(0)]
    assert states(gpu) == ["doubt"]


@pytest.mark.parametrize("shape", LOST)
def test_a_paid_answer_that_cannot_be_read_is_in_doubt_and_its_bytes_are_kept(
    gpu: Project, emulated: Served, shape: str
) -> None:
    priced(gpu)
    emulated.configure(answer_shape=shape)
    assert gpu.build().exit_code == 6
    assert gpu.build(retry_failed=True).exit_code == 6
    assert submissions(emulated) == [words(0)]
    assert len(aside(gpu)) == 1


def test_a_death_before_the_answer_is_no_doubt_where_it_costs_nothing(gpu: Project, emulated: Served) -> None:
    with mock.patch("qwenbuild.run.submit.commit", side_effect=Died), pytest.raises(Died):
        gpu.build()
    assert states(gpu) == ["intent"]
    assert gpu.verdicts() == {"rows/0": "recover"}
    assert gpu.build().exit_code == 0
    assert states(gpu) == ["failed", "stored"]


def test_a_death_after_the_answer_asks_for_nothing_again_with_or_without_a_price(gpu: Project, emulated: Served) -> None:
    priced(gpu)
    with mock.patch("qwenbuild.run.collect.keep", side_effect=Died), pytest.raises(Died):
        gpu.build()
    assert states(gpu) == ["ticket"]
    assert gpu.build().exit_code == 0
    assert submissions(emulated) == [words(0)]


def test_a_link_that_a_server_of_ones_own_has_forgotten_is_no_doubt(gpu: Project, emulated: Served) -> None:
    emulated.configure(answer_shape="url")
    emulated.fault("download", "status", status=404, times=3)
    assert gpu.build().exit_code == 0
    assert submissions(emulated) == [words(0)] * 2


@pytest.mark.parametrize(("price", "exit_code"), [("{}", 0), ("{usd: '0.03'}", 6)])
def test_it_is_the_price_that_decides_and_no_name(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, price: str, exit_code: int
) -> None:
    emulated.configure(latency=0.02)
    lead(monkeypatch, emulated, "dashscope sync")
    stock(walked, APIS["dashscope sync"], 1)
    walked.manifest((walked.folder / "qwenbuild.yaml").read_text() + f"\nmodels: {{qwen-image-plus: {{price: {price}}}}}\n")
    emulated.fault("accepted", "reset")
    assert walked.build().exit_code == exit_code
    assert len(submissions(emulated)) == (1 if exit_code else 2)


def test_what_costs_nobody_knows_what_is_not_asked_for_again(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope sync")
    stock(walked, APIS["dashscope sync"], 1)
    walked.edit("model: qwen-image-plus", "model: qwen-image-of-tomorrow, allow_unknown_model: true")
    emulated.fault("submit", "reset")
    assert walked.build().exit_code == 6
    assert submissions(emulated) == [words(0)]
    assert states(walked) == ["doubt"]
