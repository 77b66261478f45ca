"""What `check` found, as a table for people, as JSON, and as JUnit XML for CI.

Knows no check and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from xml.etree import ElementTree

from qwenbuild.model import CheckVerdict, verdict_record
from qwenbuild.report.escape import visible
from qwenbuild.report.table import table
from qwenbuild.report.terminal import Terminal
from qwenbuild.report.words import count

WORDS = ("pass", "warn", "fail", "unjudged")


class Row(Protocol):
    """One check of one picture or file."""

    @property
    def id(self) -> str:
        """The entry."""
        ...

    @property
    def asset(self) -> str:
        """Its asset."""
        ...

    @property
    def check(self) -> str:
        """The check."""
        ...

    @property
    def path(self) -> str:
        """The file, "" for the picture."""
        ...

    @property
    def verdict(self) -> CheckVerdict | None:
        """What was found, None when nothing could be."""
        ...

    @property
    def missing(self) -> str:
        """Why nothing could be."""
        ...

    @property
    def word(self) -> str:
        """pass, warn, fail or unjudged."""
        ...


def check_lines(rows: Sequence[Row], counts: Mapping[str, int], terminal: Terminal) -> Iterator[str]:
    """A table by asset and check, what fails and warns, and one line of sums."""
    if not rows:
        yield "Nothing is expected of any picture: no asset has an `expect`."
        return
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cells.setdefault((row.asset, row.check), []).append(row.word)
    lines = [
        [visible(asset), visible(check), *(str(words.count(word) or "") for word in WORDS)]
        for (asset, check), words in cells.items()
    ]
    yield from table(["asset", "check", *WORDS], lines, terminal, frozenset(range(2, 6)))
    for row in rows:
        if row.word in ("fail", "warn") or (row.word == "unjudged" and terminal.verbose):
            yield f"{terminal.style(row.word, 'red' if row.word == 'fail' else 'yellow')} {visible(_subject(row))}: {_why(row)}"
    said = [f"{counts[word]} {word}" for word in WORDS if counts[word]]
    yield f"{count(len({row.id for row in rows}), 'entry', 'entries')} checked: {', '.join(said)}."


def _subject(row: Row) -> str:
    return f"{row.id} {row.path}" if row.path else row.id


def _why(row: Row) -> str:
    return visible(row.verdict.fault if row.verdict is not None else f"{row.check}: {row.missing}")


def check_json(rows: Sequence[Row], counts: Mapping[str, int]) -> dict[str, Any]:
    """The object of `check --json`: a verdict record for each check, with the entry and the file it is of."""
    return {"v": 1, "checks": [_row_json(row) for row in rows], "summary": dict(counts)}


def _row_json(row: Row) -> dict[str, Any]:
    subject: dict[str, Any] = {"id": row.id, "asset": row.asset, "path": row.path or None}
    if row.verdict is None:
        return {**subject, "check": row.check, "verdict": None, "missing": row.missing}
    return {**subject, **verdict_record(row.verdict)}


def junit_xml(rows: Sequence[Row]) -> bytes:
    """The verdicts as JUnit XML: a suite for each asset, a case for each check of an entry; what warns is in its output."""
    root = ElementTree.Element("testsuites", name="qwenbuild check")
    suites: dict[str, list[Row]] = {}
    for row in rows:
        suites.setdefault(row.asset, []).append(row)
    for asset, cases in suites.items():
        words = [row.word for row in cases]
        sums: dict[str, int] = {
            "tests": len(cases),
            "failures": words.count("fail"),
            "errors": 0,
            "skipped": words.count("unjudged"),
        }
        suite = ElementTree.SubElement(
            root, "testsuite", name=_xml(asset), attrib={name: str(sum) for name, sum in sums.items()}
        )
        for row in cases:
            _case(suite, row)
    ElementTree.indent(root)
    body: bytes = ElementTree.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body + b"\n"


def _case(suite: ElementTree.Element, row: Row) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_xml(_subject(row)), name=_xml(row.check))
    if row.verdict is None:
        ElementTree.SubElement(case, "skipped", message=_xml(row.missing))
    elif row.word == "fail":
        failure = ElementTree.SubElement(case, "failure", message=_xml(row.verdict.fault), type=_xml(row.check))
        failure.text = f"measured {row.verdict.measured}, limit {row.verdict.threshold}" if row.verdict.measured else ""
    elif row.word == "warn":
        ElementTree.SubElement(case, "system-out").text = f"warning: {_xml(row.verdict.fault)}"


def _xml(text: str) -> str:
    """Text that XML 1.0 can hold."""
    return "".join(letter if letter >= " " and letter not in "\ufffe\uffff" else "?" for letter in text)
