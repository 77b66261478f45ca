"""`providers` and `providers check` as a user runs them, against the emulator: what they say, exit codes, nothing spent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from tests.walking import Project

MANIFEST = """\
version: 1
provider: dashscope
providers:
  beijing: {type: dashscope, region: beijing, api_key_env: DASHSCOPE_BEIJING_API_KEY}
assets:
  lantern: {prompt: a lantern}
"""
HOSTED = {"dashscope": "DASHSCOPE", "apiframe": "APIFRAME", "qwen2512": "QWEN2512"}
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def page_server(status: int) -> Iterator[str]:
    """A server that answers everything with a web page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!DOCTYPE html><title>Log in</title>"
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def checked(walked: Project, emulated: Served, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command: exit code, standard output, standard error."""
    walked.manifest(MANIFEST)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([*words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("name", [*HOSTED, "beijing", "openai", "placeholder"])
def test_a_good_account_is_0_and_says_what_the_api_tells(checked: Any, emulated: Served, name: str) -> None:
    emulated.configure(accounts={"apiframe": {"credits": 7}})
    code, _, _ = checked("providers", "check", name)
    report = json.loads(checked("providers", "check", name, "--json")[1])["providers"][0]
    assert (code, report["reachable"]) == (0, True)
    assert report["key"] == ("accepted" if name in (*HOSTED, "beijing") else "not needed")
    assert report["region"] == {"dashscope": "singapore", "beijing": "beijing"}.get(name, "")
    assert report["credits"] == ("7" if name == "apiframe" else None)
    assert (emulated.ledger(), emulated.leaks()) == ([], [])


MANY = """\
version: 1
provider: dashscope
providers:
  beijing: {type: dashscope, region: beijing, api_key_env: DASHSCOPE_BEIJING_API_KEY}
  spare: {type: dashscope, api_key_env: SPARE_API_KEY}
  gpu: {type: openai}
assets:
  lantern: {prompt: a lantern, model: wan2.7-image}
  boat: {prompt: a boat, provider: beijing}
  idea: {prompt: a sketch, provider: placeholder}
"""


def test_each_provider_that_is_used_or_configured_is_checked_and_only_those_in_use_decide(
    checked: Any, emulated: Served, walked: Project
) -> None:
    walked.manifest(MANY)
    code, out, _ = checked("providers", "check", "--json")
    reports = {report["name"]: report for report in json.loads(out)["providers"]}
    assert list(reports) == ["dashscope", "beijing", "placeholder", "spare", "gpu"]
    assert {name: report["key"] for name, report in reports.items()} == {
        "dashscope": "accepted", "beijing": "accepted", "placeholder": "not needed", "spare": "missing", "gpu": "",
    }  # fmt: skip
    assert [name for name, report in reports.items() if not report["used"]] == ["spare", "gpu"]
    assert {name: report["region_is_right"] for name, report in reports.items()} == {
        "dashscope": True, "beijing": True, "placeholder": None, "spare": None, "gpu": None,
    }  # fmt: skip
    assert reports["dashscope"]["models"] == {"wan2.7-image": True}
    assert abs(reports["dashscope"]["clock_difference_s"]) < 60
    assert code == 0
    assert (emulated.ledger(), emulated.leaks()) == ([], [])


def test_a_missing_key_of_a_provider_in_use_is_5_and_the_others_are_still_checked(
    checked: Any, emulated: Served, walked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked.manifest(MANY)
    monkeypatch.delenv("DASHSCOPE_BEIJING_API_KEY")
    code, out, _ = checked("providers", "check")
    assert code == 5
    assert "key: missing" in out
    assert "set DASHSCOPE_BEIJING_API_KEY" in out
    assert "model wan2.7-image: named by the API" in out


def test_a_model_that_the_api_does_not_name_is_said(checked: Any, walked: Project) -> None:
    row = "models: {qwen-image-next: {family: dashscope, price: {usd: '0.2'}}}\n"
    walked.manifest(MANIFEST.replace("prompt: a lantern", "prompt: a lantern, model: qwen-image-next") + row)
    code, out, _ = checked("providers", "check", "dashscope")
    assert (code, "model qwen-image-next: not in the API's list" in out) == (0, True)
    assert json.loads(checked("providers", "check", "dashscope", "--json")[1])["providers"][0]["models"] == {
        "qwen-image-next": False
    }


@pytest.mark.parametrize("answer", [{"status": 404, "code": "NotFound", "message": "no list"}, {"status": 500}])
def test_where_there_is_no_list_nothing_is_said_of_a_model(checked: Any, emulated: Served, answer: dict[str, Any]) -> None:
    emulated.fault("info", "refuse", **answer)
    code, out, _ = checked("providers", "check", "dashscope")
    assert (code, "model qwen-image-2.0: the API keeps no list" in out) == (0, True)


@pytest.mark.parametrize("name", HOSTED)
def test_a_clock_that_is_off_is_said_with_its_direction(checked: Any, emulated: Served, name: str) -> None:
    for skew, words in ((7200.0, "2 h ahead of this machine's"), (-600.0, "10 min behind this machine's")):
        emulated.configure(date_skew=skew)
        _, out, _ = checked("providers", "check", name)
        assert f"clock: the server's is {words}" in out
    emulated.configure(date_skew=0.0)
    assert "clock: as this machine's" in checked("providers", "check", name)[1]
    emulated.configure(date_header=False)
    assert "clock:" not in checked("providers", "check", name)[1]


@pytest.mark.parametrize("name", [*HOSTED, "openai"])
@pytest.mark.parametrize("status", [200, 302, 403, 407, 511])
def test_the_login_page_of_a_proxy_is_no_account_and_no_refused_key(
    checked: Any, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    with page_server(status) as address:
        monkeypatch.setenv(f"QWENBUILD_{name.upper()}_BASE_URL", address)
        code, out, _ = checked("providers", "check", name)
    assert code == 1
    assert "does not answer" in out
    assert f"HTTP {status}: a web page and no answer of the API came" in out
    assert "key:" not in out


def test_the_proxy_on_the_way_is_named_without_its_password(
    checked: Any, walked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QWENBUILD_DASHSCOPE_BASE_URL")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary@127.0.0.1:9")
    code, out, err = checked("providers", "check", "dashscope")
    assert (code, "proxy: http://127.0.0.1:9" in out) == (1, True)
    assert "canary" not in out + err


@pytest.mark.parametrize("name", HOSTED)
def test_a_refused_key_is_5_and_is_not_shown(
    checked: Any, emulated: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"{HOSTED[name]}_API_KEY", "sk-canary-0123456789")
    code, out, err = checked("providers", "check", name)
    assert code == 5
    assert "key: refused" in out
    assert "canary" not in out + err


def test_the_key_of_the_other_region_is_5_and_names_the_region(
    checked: Any, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulated.environ()["DASHSCOPE_BEIJING_API_KEY"])
    code, out, _ = checked("providers", "check")
    assert code == 5
    assert "region: beijing" in out


@pytest.mark.parametrize("name", HOSTED)
def test_a_missing_key_is_5_and_names_its_variable_before_anything_is_sent(
    checked: Any, emulated: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(f"{HOSTED[name]}_API_KEY")
    code, _, err = checked("providers", "check", name)
    assert code == 5
    assert f"{HOSTED[name]}_API_KEY" in err
    assert emulated.requests() == []


@pytest.mark.parametrize("name", [*HOSTED, "openai"])
def test_an_api_that_does_not_answer_is_1_and_its_region_is_still_said(
    checked: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"QWENBUILD_{name.upper()}_BASE_URL", NOWHERE)
    code, out, _ = checked("providers", "check", name)
    report = json.loads(checked("providers", "check", name, "--json")[1])["providers"][0]
    assert (code, report["reachable"], report["key"]) == (1, False, "")
    assert "does not answer" in out
    assert report["region"] == ("singapore" if name == "dashscope" else "")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_service_in_trouble_says_nothing_of_the_key_and_is_1(checked: Any, emulated: Served, status: int) -> None:
    for name in HOSTED:
        code = "Throttling" if status == 429 else "InternalError"
        phase = "info" if name == "apiframe" else "poll"
        emulated.fault(phase, "refuse", status=status, code=code, message="as ordered", times=2)
        ended, out, _ = checked("providers", "check", name)
        report = json.loads(checked("providers", "check", name, "--json")[1])["providers"][0]
        assert (name, ended, report["key"]) == (name, 1, "")
        assert "key:" not in out


def test_a_name_that_is_no_provider_is_2_with_the_near_miss(checked: Any, emulated: Served) -> None:
    code, _, err = checked("providers", "check", "bejing")
    assert code == 2
    assert "did you mean 'beijing'?" in err
    assert emulated.requests() == []


def test_the_table_is_printed_as_the_manifest_corrects_it(checked: Any, walked: Project) -> None:
    def row(model: str, provider: str = "dashscope") -> dict[str, Any]:
        rows = json.loads(checked("providers", "--json")[1])["models"]
        return next(row for row in rows if (row["provider"], row["model"]) == (provider, model))

    before = row("qwen-image-plus")
    walked.manifest(
        MANIFEST + "models:\n  qwen-image-plus: {price: {usd: '0.011'}, rps: 7, in_flight: 3, sizes: ['512*512']}\n"
        "  qwen-image-next: {family: dashscope, price: {usd: '0.2'}, sizes: ['640*640'], default_size: '640*640'}\n"
    )
    after = row("qwen-image-plus")
    assert (after["price"], after["rps"], after["in_flight"]) == ({"usd": "0.011"}, 7, 3)
    assert (after["price_source"], after["sizes"]) == ("the manifest", ["512*512"])
    assert after["sizes"] != before["sizes"]
    assert (row("qwen-image-next")["price"], row("qwen-image-next")["sizes"]) == ({"usd": "0.2"}, ["640*640"])
    out = checked("providers")[1]
    assert out.count("dashscope\n") == 1
    assert "qwen-image-next" in out.split("apiframe\n")[0]


def test_without_a_manifest_the_table_is_printed_as_it_is_shipped(checked: Any, walked: Project) -> None:
    with_manifest = checked("providers", "--json")[1]
    (walked.folder / "qwenbuild.yaml").unlink()
    assert checked("providers", "--json") == (0, with_manifest, "")


def test_the_settings_that_the_page_of_the_providers_shows_are_a_manifest(checked: Any, walked: Project) -> None:
    page = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    walked.manifest(f"version: 1\nassets:\n  lantern: {{prompt: a lantern}}\n{shown}")
    assert checked("validate")[0] == 0
    assert checked("providers")[0] == 0


SIZED = MANIFEST.replace("prompt: a lantern", "prompt: a lantern, model: qwen-image-plus, seed: 3")


@pytest.mark.parametrize(
    ("columns", "asked", "sent"),
    [
        ("sizes: ['512*512', '640*320']", "", "512*512"),
        ("sizes: ['512*512', '640*320']", "2:1", "640*320"),
        ("sizes: ['512*512', '640*320']", "640*320", "640*320"),
        ("sizes: ['512*512', '640*320'], default_size: '640*320'", "", "640*320"),
        ("sizes: ['512*512', '640*320'], aliases: {'16:9': '640*320'}", "16:9", "640*320"),
        ("sizes: ['1328*1328', '640*320']", "", "1328*1328"),
        ("aliases: {'4:3': '1472*1104'}", "4:3", "1472*1104"),
        ("aliases: {'4:3': '1472*1104'}", "16:9", "1664*928"),
    ],
)
def test_sizes_that_the_manifest_corrects_are_the_only_ones_and_are_sent(
    walked: Project, emulated: Served, columns: str, asked: str, sent: str
) -> None:
    emulated.configure(validation="deferred")
    params = f"defaults: {{params: {{size: '{asked}'}}}}\n" if asked else ""
    walked.manifest(SIZED + params + f"models:\n  qwen-image-plus: {{{columns}}}\n")
    walked.build()
    (request,) = [request for request in emulated.requests() if request["phase"] == "submit"]
    assert json.loads(request["body"])["parameters"]["size"] == sent


@pytest.mark.parametrize("asked", ["1664*928", "16:9", "1328*1328"])
def test_a_size_that_the_manifest_took_away_is_refused_with_its_place(walked: Project, emulated: Served, asked: str) -> None:
    walked.manifest(SIZED + f"models: {{qwen-image-plus: {{sizes: ['512*512']}}}}\ndefaults: {{params: {{size: '{asked}'}}}}\n")
    with pytest.raises(InputError, match=r"512\*512|1:1") as caught:
        walked.build()
    assert caught.value.problems[0].mark is not None
    assert emulated.requests() == []


@pytest.mark.parametrize("columns", ["sizes: [big]", "sizes: ['512*512'], default_size: '640*320'"])
def test_a_correction_that_contradicts_itself_is_2(checked: Any, walked: Project, columns: str) -> None:
    walked.manifest(SIZED + f"models: {{qwen-image-plus: {{{columns}}}}}\n")
    code, _, err = checked("plan")
    assert code == 2
    assert "models.qwen-image-plus" in err
