"""A module that loads at its first use is whole for whoever uses it, also where two threads do at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import qwenbuild
from qwenbuild.later import later, load

LATE = "qwenbuild.late_for_a_test"
SLOW = f"""\
import sys
entered, tried = sys.modules[{__name__!r}].EVENTS
entered.set()
tried.wait(0.2)
value = 42
"""
EVENTS = (threading.Event(), threading.Event())


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the package that is not there otherwise."""
    monkeypatch.setattr(qwenbuild, "__path__", [*qwenbuild.__path__, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for event in EVENTS:
        event.clear()
    yield tmp_path / "late_for_a_test.py"
    sys.modules.pop(LATE, None)
    vars(qwenbuild).pop("late_for_a_test", None)


def test_a_second_thread_waits_for_the_whole_module(late: Path) -> None:
    late.write_text(SLOW)
    with later:
        module = import_module(LATE)
    entered, tried = EVENTS
    assert not entered.is_set()
    seen: list[object] = []

    def use() -> None:
        entered.wait(5)
        try:
            seen.append(module.value)
        except AttributeError as error:
            seen.append(error)
        finally:
            tried.set()

    second = threading.Thread(target=use)
    second.start()
    assert module.value == 42
    second.join()
    assert seen == [42]


def test_a_module_that_looks_at_itself_while_it_loads_sees_what_is_there(late: Path) -> None:
    late.write_text("import sys\nfirst = 1\nsecond = sys.modules[__name__].first + 1\n")
    with later:
        module = import_module(LATE)
    assert (module.second, type(module)) == (2, type(sys))


def test_a_module_that_fails_is_tried_again_at_its_next_use(late: Path) -> None:
    late.write_text("raise OSError('no')\n")
    with later:
        module = import_module(LATE)
    with pytest.raises(OSError, match="no"):
        module.value  # noqa: B018
    late.write_text("value = 7\n")
    assert module.value == 7


def test_load_loads_what_was_put_off(late: Path) -> None:
    late.write_text("value = 7\n")
    with later:
        module = import_module(LATE)
    assert load(LATE) is module
    assert type(module) is type(sys)
