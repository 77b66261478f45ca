"""The program as a whole: options everywhere, twins, near misses, endings; knows nothing of any command's work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import click
import pytest
from fakewalk import Ended, Walk, make_plan, make_step

from qwenbuild.cli import group
from qwenbuild.cli.crash import redacted
from qwenbuild.cli.group import COMMANDS
from qwenbuild.cli.program import program
from qwenbuild.errors import CacheError, CredentialsError, GateStop, InputError, NotUpToDate

Call = Callable[..., Ended]


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, *path, name)
    return found


ALL = commands(program)


def test_without_a_word_the_help_is_shown(call: Call) -> None:
    ended = call()
    assert ended.code == 0
    assert "Usage: qwenbuild" in ended.out
    assert "Exit codes:" in ended.out


def test_no_word_of_a_command_line_is_a_key() -> None:
    """Whoever lists the machine's processes could read it there."""
    for path in [(), *ALL]:
        command: click.Command = program
        for name in path:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), name)
            assert found is not None
            command = found
        said = [word.lower() for each in command.params for word in (each.name or "", *each.opts)]
        assert [word for word in said if re.search("key|token|secret|password|credential", word)] == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_an_example(call: Call, path: tuple[str, ...], flag: str) -> None:
    ended = call(*path, flag)
    assert ended.code == 0
    assert f"Usage: qwenbuild {' '.join(path)}" in ended.out
    assert "Examples:" in ended.out or "Commands:" in ended.out
    assert "-C, --directory" in ended.out


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_no_line_of_help_is_wider_than_80(call: Call, path: tuple[str, ...]) -> None:
    assert [line for line in call(*path, "-h").out.splitlines() if len(line) > 80] == []


def test_a_mistyped_command_is_answered_with_the_near_one(call: Call) -> None:
    ended = call("biuld")
    assert ended.code == 2
    assert "No such command 'biuld'. Did you mean 'build'?" in ended.err


def test_a_mistyped_option_is_answered_with_the_near_one(call: Call) -> None:
    ended = call("build", "--ofline")
    assert ended.code == 2
    assert "--offline" in ended.err


def test_a_usage_error_is_json_under_json(call: Call) -> None:
    ended = call("plan", "--json", "--bad")
    assert ended.code == 2
    error = json.loads(ended.out)["errors"][0]
    assert (error["code"], error["file"]) == ("usage", None)


def test_the_options_of_everywhere_stand_before_and_after_the_command(call: Call, walk: Walk, tmp_path: Path) -> None:
    call("-C", str(tmp_path), "-f", "other.yaml", "plan")
    before = walk.options
    call("plan", "-C", str(tmp_path), "-f", "other.yaml")
    assert walk.options == before
    assert (before.folder, before.file) == (tmp_path, "other.yaml")


def test_what_stands_after_the_command_wins(call: Call, walk: Walk) -> None:
    call("-f", "one.yaml", "plan", "-f", "two.yaml")
    assert walk.options.file == "two.yaml"


def test_a_word_beats_its_twin_in_the_environment(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBUILD_FILE", "env.yaml")
    call("plan")
    assert walk.options.file == "env.yaml"
    call("-f", "word.yaml", "plan")
    assert walk.options.file == "word.yaml"


def test_flags_have_twins(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    twins = {
        "QWENBUILD_JOBS": "3",
        "QWENBUILD_MAX_COST": "2.50 apiframe=60",
        "QWENBUILD_LIMIT": "7",
        "QWENBUILD_LOCKED": "1",
        "QWENBUILD_OFFLINE": "true",
        "QWENBUILD_FAIL_FAST": "1",
        "QWENBUILD_PRUNE": "1",
        "QWENBUILD_STRICT": "1",
        "QWENBUILD_PROVIDER": "placeholder",
        "QWENBUILD_OUTPUT": "out",
    }
    for name, value in twins.items():
        monkeypatch.setenv(name, value)
    call("build")
    options = walk.options
    assert options.max_cost == {"usd": Decimal("2.50"), "apiframe": Decimal(60)}
    assert (options.jobs, options.limit, options.provider, options.output) == (3, 7, "placeholder", "out")
    assert options.locked
    assert options.offline
    assert options.fail_fast
    assert options.prune
    assert options.strict


@pytest.mark.parametrize("name", ["yes", "force", "overwrite", "retry_failed", "all"])
def test_what_spends_or_destroys_has_no_twin(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for prefix in ("QWENBUILD_", "QWENBUILD_BUILD_", "QWENBUILD_CLEAN_"):
        monkeypatch.setenv(prefix + name.upper(), "1")
    call("build")
    assert getattr(walk.options, name) is False


def test_an_empty_twin_says_nothing(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QWENBUILD_LOCKED", "QWENBUILD_LIMIT", "QWENBUILD_MAX_COST", "QWENBUILD_FILE"):
        monkeypatch.setenv(name, "")
    assert call("build").code == 0
    assert (walk.options.locked, walk.options.limit, walk.options.max_cost, walk.options.file) == (False, None, None, None)


def test_force_needs_to_be_told_what(call: Call, walk: Walk) -> None:
    assert call("build", "--force").code == 2
    assert call("build", "--all").code == 2
    assert walk.asked == []
    assert call("build", "--force", "potions/*").code == 0
    assert call("build", "--force", "--all").code == 0


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "1e9", "usd=", "=3", "free", "USD=5"])
def test_an_amount_that_is_none_is_refused(call: Call, walk: Walk, amount: str) -> None:
    assert call("build", "--max-cost", amount).code == 2
    assert walk.asked == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (NotUpToDate("x"), 3),
        (GateStop("x", code="budget"), 4),
        (CredentialsError("x"), 5),
        (CacheError("x"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("x"), 70),
    ],
)
def test_each_error_has_its_exit_code(call: Call, walk: Walk, error: BaseException, code: int) -> None:
    walk.raises = error
    assert call("plan").code == code
    assert call("build", "--json").code == code


@pytest.mark.parametrize("code", ["consent", "budget", "brake"])
def test_the_gates_stop_is_an_error_object_under_json(call: Call, walk: Walk, code: str) -> None:
    walk.raises = GateStop("stopped", code=code)
    ended = call("build", "--json")
    assert ended.code == 4
    said = json.loads(ended.out)
    assert (said["v"], said["errors"][0]["code"], said["errors"][0]["message"]) == (1, code, "stopped")


def test_a_bug_leaves_a_log_without_secrets(call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-0123456789abcdef"
    monkeypatch.setenv("DASHSCOPE_API_KEY", secret)
    walk.raises = RuntimeError(f"key {secret} at https://x.example/a.png?Signature=abc")
    ended = call("plan")
    assert ended.code == 70
    assert ended.err.count("\n") == 1
    log = Path(ended.err.split(" is in ")[1].strip())
    assert log.parent == Path(os.environ["QWENBUILD_CACHE_DIR"])
    text = log.read_text(encoding="utf-8")
    assert "RuntimeError" in text
    assert secret not in text
    assert "Signature" not in text
    assert log.stat().st_mode & 0o077 == 0


def test_a_key_of_no_known_look_is_blanked_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_API_KEY", "plainwordsonly")
    assert redacted("sent plainwordsonly to x") == "sent *** to x"


def test_redaction_knows_headers_and_links() -> None:
    text = redacted("{'Authorization': 'Bearer abcdefghijkl', 'X-API-Key': 'afk_123456789'} https://u:pw@h.example/p?q=1")
    for secret in ("abcdefghijkl", "afk_123456789", "pw@", "q=1"):
        assert secret not in text


def loaded_by(*args: str) -> set[str]:
    """The modules that a command line has imported when it ends."""
    code = (
        f"import sys; sys.argv = {['qwenbuild', *args]}\n"
        "from qwenbuild.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    heavy = {"httpx", "pydantic", "rich", "yaml", "jinja2", "PIL", "diskcache", "platformdirs"}
    assert loaded_by("build", "--help") & heavy == set()


def test_the_programs_help_imports_no_command() -> None:
    loaded = loaded_by("--help")
    assert "qwenbuild.cli.program" in loaded
    assert not [name for name in loaded if name.startswith("qwenbuild.cli.commands")]


def test_the_entry_point_imports_nothing_but_sys_before_the_quick_answer() -> None:
    code = "import sys; before = set(sys.modules); import qwenbuild.__main__; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "click" not in done.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m qwenbuild providers | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_every_command_is_one_line_of_the_registry() -> None:
    assert {path[0] for path in ALL} == set(COMMANDS)
    folder = Path(group.__file__).parent / "commands"
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(COMMANDS)


@pytest.mark.parametrize(
    ("args", "environ", "painted"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {}, False),
        ((), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_or_on_request(
    call: Call, walk: Walk, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], environ: dict[str, str], painted: bool
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    walk.plan = make_plan(make_step("a/x", "generate"))
    assert ("\x1b[" in call(*args, "plan").out) is painted
    assert ("\x1b[" in call("plan", *args).out) is painted
