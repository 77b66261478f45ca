"""What follows each error is a table, and the server names the pause where it does."""

from __future__ import annotations

import inspect

import pytest

from qwenbuild import errors
from qwenbuild.errors import (
    AccountStop,
    FailedAtProvider,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)
from qwenbuild.pace.clock import FakeTime
from qwenbuild.pace.retry import TABLE, Retries, Then
from qwenbuild.ports import Recovery


def kinds() -> set[type[ProviderError]]:
    found = {item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, ProviderError)}
    return found - {ProviderError}


def test_every_error_has_a_row_for_both_phases() -> None:
    assert {kind for kind, phase in TABLE if phase == "submit"} == kinds()
    assert {kind for kind, phase in TABLE if phase == "collect"} == kinds()


def test_what_may_have_been_charged_is_never_sent_again_by_itself() -> None:
    for (kind, phase), rule in TABLE.items():
        if (kind, phase) == (NotFetched, "collect"):
            assert (rule.then, rule.at_last) == (Then.AGAIN, Then.KEEP)  # its link is asked again, which pays nothing
        elif kind.charged != "no":
            assert rule.then not in (Then.AGAIN, Then.ANEW), (kind, phase)


def retries(recovery: Recovery = "none", clock: FakeTime | None = None, timeout: float = 300.0) -> Retries:
    return Retries(recovery, timeout, (clock or FakeTime()).waits())


def followed(error: ProviderError, phase: str, times: int, recovery: Recovery = "none") -> list[Then]:
    policy = retries(recovery)
    return [policy.after(error, phase).then for _ in range(times)]  # type: ignore[arg-type]


def test_a_429_is_tried_five_times() -> None:
    assert followed(Throttled("m"), "submit", 6) == [Then.AGAIN] * 5 + [Then.FAIL]


def test_a_used_up_allocation_stops_the_account_in_the_end() -> None:
    error = Throttled("m", code="Throttling.AllocationQuota", retry_after=1)
    assert followed(error, "submit", 6) == [Then.AGAIN] * 5 + [Then.STOP]


def test_a_failed_task_gets_two_new_attempts() -> None:
    assert followed(FailedAtProvider("m"), "collect", 3) == [Then.ANEW, Then.ANEW, Then.FAIL]
    assert followed(FailedAtProvider("m", code="InternalError.Timeout"), "collect", 2) == [Then.ANEW, Then.FAIL]


@pytest.mark.parametrize(("recovery", "then"), [("resend", Then.AGAIN), ("listing", Then.LOOK_UP), ("none", Then.DOUBT)])
def test_a_lost_answer_is_settled_as_the_api_allows(recovery: Recovery, then: Then) -> None:
    assert retries(recovery).after(Uncertain("m"), "submit").then is then


def test_refused_and_stopped_are_not_tried_again() -> None:
    assert retries().after(Refused("m"), "submit").then is Then.REFUSE
    assert retries().after(AccountStop("m", kind="quota"), "submit").then is Then.STOP


@pytest.mark.parametrize(("told", "pause"), [(7.0, 7.0), (0.0, 0.0), (100000.0, 120.0)])
def test_the_server_names_the_pause(told: float, pause: float) -> None:
    assert retries().after(Throttled("m", retry_after=told), "submit").pause == pause


def test_the_pause_doubles_to_a_cap_with_jitter() -> None:
    policy = retries(timeout=10000)
    pauses = [policy.after(Unavailable("m"), "submit").pause for _ in range(8)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_the_jobs_time_ends_the_tries() -> None:
    clock = FakeTime()
    policy = retries(clock=clock, timeout=60)
    clock.now = 59.9
    assert policy.after(Unavailable("m"), "submit").then is Then.FAIL
    assert policy.after(Unavailable("m"), "collect").then is Then.KEEP
