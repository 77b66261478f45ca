"""One file a fault, each with the message a user reads; nothing here knows how the faults are found."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from manifest_pin import BAD, message

FAULTS = sorted(path.stem for path in BAD.glob("*.yaml"))


def test_there_are_enough_faults_and_each_has_its_message() -> None:
    assert len(FAULTS) >= 90
    assert sorted(path.stem for path in BAD.glob("*.txt")) == FAULTS


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="libyaml words its syntax errors differently from the pure parser")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_manifest_says_where_what_and_how_to_mend_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    assert message(Path(f"{fault}.yaml")) == Path(f"{fault}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_message_shows_a_key(fault: str) -> None:
    pinned = (BAD / f"{fault}.txt").read_text(encoding="utf-8")
    assert "0123456789abcdef" not in pinned
    assert "correct-horse" not in pinned
    assert "me:secret" not in pinned
