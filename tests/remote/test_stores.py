"""One suite for every kind of store: what is put is got, what is absent is said so, and trouble is an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from qwenbuild.errors import InputError
from qwenbuild.remote.addresses import open_remote
from qwenbuild.remote.claims import Claims
from qwenbuild.remote.store import Remote, RemoteError, Unlisted, check_version, start
from qwenbuild.remote.web import _credentials
from tests.remote.memory import Memory
from tests.remote.servers import S3, Handler, WebStore

Opener = Callable[..., Remote]


@pytest.fixture
def store(store_url: str, opened: Opener) -> Remote:
    return opened(store_url)


def test_what_is_put_is_got_whole_and_what_is_not_there_is_said_so(store: Remote) -> None:
    data = os.urandom(300_000)
    assert (store.get("blobs/ab/x"), store.size("blobs/ab/x")) == (None, None)
    store.put("blobs/ab/x", data)
    assert store.get("blobs/ab/x") == data
    assert store.size("blobs/ab/x") == len(data)
    store.put("blobs/ab/x", data)
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_what_is_deleted_is_gone_and_deleting_nothing_is_no_error(store: Remote) -> None:
    store.put("claims/ab/x", b"1")
    store.delete("claims/ab/x")
    store.delete("claims/ab/x")
    assert store.get("claims/ab/x") is None


def test_creating_is_exact_or_claims_find_out_that_it_is_not(store: Remote) -> None:
    answers = [store.create("claims/x", b"1"), store.create("claims/x", b"2")]
    with closing(Claims(store)) as claims:
        assert claims.exact is (answers == [True, False])
    if answers == [True, False]:
        assert store.get("claims/x") == b"1"


def test_a_listing_names_what_is_below_a_folder_or_says_that_it_cannot(store: Remote) -> None:
    for name in ("blobs/aa/1", "blobs/aa/2", "blobs/ab/3", "receipts/aa/1.json"):
        store.put(name, b"12345")
    try:
        found = sorted(store.list("blobs/aa"), key=lambda item: item.name)
    except Unlisted:
        return
    assert [(item.name, item.size) for item in found] == [("blobs/aa/1", 5), ("blobs/aa/2", 5)]
    assert all(item.written > 1e9 for item in found)
    assert list(store.list("nothing")) == []


def test_a_store_is_new_or_ours_or_refused(store: Remote) -> None:
    assert check_version(store) is False
    store.put("VERSION", b"1\n")
    assert check_version(store) is True
    store.put("VERSION", b"2\n")
    with pytest.raises(RemoteError, match="has version 2; update qwenbuild"):
        check_version(store)
    store.put("VERSION", b"<html>welcome</html>")
    with pytest.raises(RemoteError, match="is no shared cache"):
        check_version(store)


@pytest.mark.parametrize("exact", [True, False])
def test_a_place_that_keeps_nothing_is_not_started(exact: bool) -> None:
    """It is found out before anything is bought."""
    place = Memory(exact=exact, keeps=False)
    with pytest.raises(RemoteError, match="acknowledged VERSION but did not keep it") as caught:
        start(place)
    assert caught.value.code == "remote-unkept"


def test_what_is_started_already_is_not_written_again() -> None:
    place = Memory(names={"VERSION": b"1\n"})
    start(place)
    assert place.calls == [("get", "VERSION")]


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize("url", ["ftp://host/x", "share", "http://example.com/x", "file://host/share", "file:share", ""])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        open_remote(url, {})


def test_a_share_that_is_not_mounted_is_an_error_and_not_an_empty_store(opened: Opener, tmp_path: Path) -> None:
    store = opened((tmp_path / "gone").as_uri(), {})
    for ask in (lambda: store.get("x"), lambda: store.size("x"), lambda: store.put("x", b""), lambda: list(store.list("x"))):
        with pytest.raises(RemoteError, match="is it mounted"):
            ask()
    assert not (tmp_path / "gone").exists()


# ---------------------------------------------------------------- the web


def _status(status: int) -> Callable[[Handler], bool]:
    def fault(handler: Handler) -> bool:
        handler.answer(status, b"", head=handler.command == "HEAD")
        return True

    return fault


def _short(handler: Handler) -> bool:
    handler.answer(200, b"half", length=8)
    handler.close_connection = True
    return True


@pytest.mark.parametrize("status", [500, 502, 503, 429, 301, 400, 401, 403])
def test_an_answer_that_is_neither_yes_nor_no_is_an_error(opened: Opener, web: WebStore, status: int) -> None:
    store = opened(web.url, {})
    web.fault = _status(status)
    for ask in (lambda: store.get("x"), lambda: store.size("x"), lambda: store.put("x", b"")):
        with pytest.raises(RemoteError) as caught:
            ask()
        assert caught.value.code == ("remote-credentials" if status in (401, 403) else "remote-io")


def test_a_server_that_stumbles_once_is_asked_again(opened: Opener, web: WebStore) -> None:
    store = opened(web.url, {})
    web.names["x"] = b"whole"
    failing = iter([True, True, False])
    web.fault = lambda handler: next(failing) and _status(503)(handler)
    assert store.get("x") == b"whole"
    assert web.count("GET", "x") == 3


def test_a_body_cut_short_is_an_error_and_never_half_a_picture(opened: Opener, web: WebStore) -> None:
    web.fault = _short
    with pytest.raises(RemoteError, match="peer closed connection"):
        opened(web.url, {}).get("x")


def test_a_server_that_takes_no_writes_says_so(opened: Opener, web: WebStore) -> None:
    web.fault = lambda handler: handler.command == "PUT" and _status(404)(handler)
    with pytest.raises(RemoteError, match="is writing enabled"):
        opened(web.url, {}).put("x", b"1")


def test_nobody_listening_is_an_error(opened: Opener) -> None:
    with pytest.raises(RemoteError, match="did not answer"):
        opened("http://127.0.0.1:9/cache", {}).get("x")


def test_credentials_travel_in_a_header_and_are_never_shown(opened: Opener, web: WebStore) -> None:
    opened(web.url, {"QWENBUILD_REMOTE_TOKEN": "tok-123"}).get("x")
    assert web.headers[-1]["authorization"] == "Bearer tok-123"
    store = opened(web.url.replace("http://", "http://me:pa%20ss@"), {})
    store.get("x")
    assert web.headers[-1]["authorization"] == "Basic bWU6cGEgc3M="
    web.fault = _status(403)
    with pytest.raises(RemoteError) as caught:
        store.get("x")
    assert "ss@" not in str(caught.value)
    assert "me:" not in f"{caught.value} {store.url}"


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        ({}, False),
        ({"QWENBUILD_REMOTE": "https://other.example/cache"}, False),
        ({"QWENBUILD_REMOTE": "https://cache.example.evil.example/cache"}, False),
        ({"QWENBUILD_REMOTE_HOST": "evil.example"}, False),
        ({"QWENBUILD_REMOTE": "https://cache.example/cache"}, True),
        ({"QWENBUILD_REMOTE_HOST": "cache.example"}, True),
    ],
)
def test_a_manifest_cannot_send_the_token_to_a_host_that_the_environment_does_not_name(
    environ: dict[str, str], sent: bool
) -> None:
    environ = {"QWENBUILD_REMOTE_TOKEN": "tok-123", **environ}
    assert (_credentials("https://cache.example/cache", environ) is not None) is sent


def test_netrc_is_never_read(opened: Opener, web: WebStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    opened(web.url, {}).get("x")
    assert "authorization" not in web.headers[-1]


# ---------------------------------------------------------------- S3


def test_a_bucket_that_is_not_there_is_an_error(opened: Opener, s3: S3) -> None:
    store = opened("s3://nobody-made-this/team")
    for ask in (lambda: store.get("VERSION"), lambda: store.put("x", b"1"), lambda: list(store.list("blobs"))):
        with pytest.raises(RemoteError, match="there is no bucket behind s3://nobody-made-this/team"):
            ask()


def test_no_answer_from_s3_takes_seconds_and_not_minutes(opened: Opener, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteError, match="did not answer"):
        opened("s3://pictures/team").get("x")


def test_pictures_of_many_threads_arrive_whole(store: Remote) -> None:
    from qwenbuild.remote.transfer import each

    data = {sha256(bytes([n])).hexdigest(): bytes([n]) * 50_000 for n in range(60)}
    assert all(answer is None for _, answer in each(lambda name: store.put(f"blobs/{name}", data[name]), data))
    assert dict(each(lambda name: store.get(f"blobs/{name}"), data)) == data
