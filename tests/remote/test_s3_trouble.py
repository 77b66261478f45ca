"""What S3 servers answer when something is wrong, each through a whole build: a clear message, nothing bought."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("obstore")

from qwenbuild.remote import objects
from qwenbuild.remote.claims import Claims
from qwenbuild.remote.store import RemoteError
from tests.remote.servers import S3, Handler, WebStore
from tests.remote.teams import Machine, Team
from tests.remote.test_carrying import MANIFEST
from tests.remote.test_stores import Opener

ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code} says the server</Message></Error>'
ANSWERS = {
    "SignatureDoesNotMatch": (403, "refused the credentials"),
    "InvalidAccessKeyId": (403, "refused the credentials"),
    "ExpiredToken": (400, "refused the credentials"),
    "AccessDenied": (403, "refused the credentials"),
    "NoSuchBucket": (404, "there is no bucket"),
    "SlowDown": (503, "did not answer"),
    "InternalError": (500, "did not answer"),
}


@pytest.fixture
def bob(tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A fresh clone whose S3 is a web server of this process that checks no signature."""
    for name, value in {
        "AWS_ENDPOINT_URL": web.url.removesuffix("/cache"),
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("qwenbuild.remote.objects.RETRY", {"max_retries": 0})
    team = Team(tmp_path, "s3://bucket/team", monkeypatch, MANIFEST)
    assert team.machine("ann").build().exit_code == 0
    return team.clone("bob")


@pytest.mark.parametrize("code", ANSWERS)
def test_an_error_of_s3_is_said_and_buys_nothing(bob: Machine, web: WebStore, code: str) -> None:
    status, message = ANSWERS[code]

    def fault(handler: Handler) -> bool:
        handler.answer(status, ERROR.format(code=code).encode(), head=handler.command == "HEAD")
        return True

    web.fault = fault
    summary = bob.build()
    assert (summary.exit_code, summary.counts, bob.submitted) == (1, {"failed": 3}, [])
    assert message in summary.failures[0][2]
    assert "secret-of-the-test" not in str(summary)
    assert bob.cache().known_blobs() == set()


def test_s3_is_asked_three_times_and_no_more(web: WebStore, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url.removesuffix("/cache"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    at_once = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=1), "base": 2}
    monkeypatch.setattr(objects, "RETRY", {**objects.RETRY, "backoff": at_once})

    def down(handler: Handler) -> bool:
        handler.answer(503)
        return True

    web.fault = down
    with pytest.raises(RemoteError, match="did not answer"):
        opened("s3://bucket/team").get("VERSION")
    assert web.count("GET") == 3


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_a_wrong_secret_is_said_and_buys_nothing(
    signed: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    team = Team(tmp_path, "s3://pictures/team", monkeypatch, MANIFEST)
    assert team.machine("ann").build(push=True).exit_code == 0
    second = team.clone("bob")
    monkeypatch.setenv(name, "another-value-of-the-test")
    summary = second.build()
    assert (summary.exit_code, summary.counts, second.submitted) == (1, {"failed": 3}, [])
    assert "refused the credentials" in summary.failures[0][2]
    monkeypatch.setenv(name, signed.environ[name])
    assert second.build().counts == {"restored": 3}


def test_an_s3_that_takes_a_condition_and_overwrites_gets_best_effort_claims(signed: S3, opened: Opener) -> None:
    with closing(Claims(opened("s3://pictures/team"))) as claims:
        assert claims.exact is False
