"""Read an expectation, and judge a picture by it: one verdict for each check, remembered where looking costs time.

Knows no entry and no cache; what is remembered is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from qwenbuild import plugins
from qwenbuild.checks import basic, local, text
from qwenbuild.checks.check import VERSION, Measurement
from qwenbuild.errors import InputError
from qwenbuild.images import plugin_steps
from qwenbuild.images.arguments import listed, near
from qwenbuild.model import CheckVerdict

if TYPE_CHECKING:
    from qwenbuild.images.measures import DecodedPicture

BUILT_IN = (*basic.READERS, *local.CHECKS)
"""The keys of `expect` that are no plug-ins'."""
WORDS = "words"
"""Under which stands what was read in a picture; no check has the name."""
NO_PICTURE = "picture"
"""Under which stands that bytes are no picture at all."""
Expect = Mapping[str, Any]


class VerdictStore(Protocol):
    """Verdicts that were found before, of one picture, by check and parameters."""

    def get(self, name: str, parameters: Any) -> CheckVerdict | None:
        """The verdict, None when nobody looked yet."""
        ...

    def put(self, name: str, parameters: Any, verdict: CheckVerdict) -> None:
        """Note the verdict."""
        ...


def check_expect(expect: Any, *, of_file: bool = False) -> Expect:
    """An expectation with every value read: JSON values that determine the verdict, the checks' versions among them.

    `of_file`: of a file that is made from a picture, which is not compared with others.
    Raises ValueError naming the key, what it takes, and the near miss.
    """
    if not isinstance(expect, Mapping):
        raise ValueError(f"expect must be a mapping of {listed(BUILT_IN)}, got {expect!r}")
    checked: dict[str, Any] = {}
    for name, value in expect.items():
        if value is None or (value is False and name in local.CHECKS):
            continue
        checked[name] = _read(name, _reader(name), value)
        if of_file and is_set_check(name, checked[name]):
            raise ValueError(f"expect: {name} compares pictures: it goes on the asset, not on one of its outputs")
    return checked


def is_set_check(name: str, parameters: Any) -> bool:
    """Whether a check compares a picture with others."""
    return name in local.CHECKS and (local.CHECKS[name].scope == "set" or (name == "palette" and bool(parameters["of"])))


def split_expect(expect: Expect | None) -> tuple[Expect | None, Expect | None]:
    """What is expected of the picture alone, and beside others; None where that is nothing."""
    if expect is None or not any(is_set_check(name, value) for name, value in expect.items()):
        return expect, None
    alone = {name: value for name, value in expect.items() if not is_set_check(name, value)}
    return alone or None, {name: value for name, value in expect.items() if name not in alone}


def is_reported(name: str) -> bool:
    """Whether the verdict of a check stands in the lockfile: not that of what a file simply is."""
    return name not in basic.READERS and name != NO_PICTURE


def _reader(name: Any) -> Callable[[Any], Any]:
    """How a value is read. Raises ValueError when nothing has the name, or a plug-in cannot be used."""
    if name in basic.READERS:
        return basic.READERS[name]
    if name in local.CHECKS:
        return local.CHECKS[name].read
    try:
        reader = plugin_steps.check_reader(str(name), BUILT_IN)
    except InputError as error:
        raise ValueError(f"expect: {error}") from None
    if reader is None:
        names = (*BUILT_IN, *plugins.names("check"))
        raise ValueError(f"expect has no {name!r}{near(name, names)}; it takes {listed(names)}")
    return reader


def _read(name: str, reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("expect:") else f"expect: {name} {text}") from None


def judge(data: bytes, expect: Expect, remembered: VerdictStore | None = None) -> tuple[CheckVerdict, ...]:
    """A verdict for each check of an expectation that `check_expect` gave. Bytes that are no picture have one that fails.

    Raises PluginFailed.
    """
    from qwenbuild.images.measures import DecodedPicture  # Pillow

    picture = DecodedPicture(data)
    verdicts = []
    try:
        _ = picture.image
        for name, parameters in expect.items():
            verdicts.append(_remembered(picture, name, parameters, remembered))
    except plugin_steps.PluginFailed:
        raise
    except ValueError as error:
        return (Measurement(str(error)).verdict(NO_PICTURE, "1"),)
    return tuple(verdicts)


def _remembered(picture: DecodedPicture, name: str, parameters: Any, remembered: VerdictStore | None) -> CheckVerdict:
    if remembered is None or name in basic.READERS:
        return _verdict(picture, name, parameters, remembered)
    verdict = remembered.get(name, parameters)
    if verdict is None:
        verdict = _verdict(picture, name, parameters, remembered)
        remembered.put(name, parameters, verdict)
    return verdict


def _verdict(picture: DecodedPicture, name: str, parameters: Any, remembered: VerdictStore | None) -> CheckVerdict:
    if name in basic.READERS:
        return basic.JUDGES[name](picture, parameters).verdict(name, "1")
    if name == "text":
        read = partial(_words, picture, remembered=remembered)
        return text.judge(parameters, read).verdict(name, str(parameters[VERSION]))
    if name in local.CHECKS:
        return local.judge_of(name)(picture, parameters).verdict(name, str(parameters[VERSION]))
    finding = plugin_steps.judge(picture.data, name, parameters)
    measurement = Measurement(finding.fault, finding.measured, str(parameters["value"]), finding.evidence)
    return measurement.verdict(name, str(parameters[plugin_steps.STAMP]))


def _words(picture: DecodedPicture, reader: str, remembered: VerdictStore | None) -> list[text.Line]:
    """The lines of a picture as a reader has them; what was read before is not read again, whatever is asked of it now."""
    from qwenbuild.checks import ocr  # many threads come here first, so not put off by `later`

    known = remembered.get(WORDS, {"reader": reader}) if remembered is not None else None
    if known is None:
        lines = [(line.text, line.confidence, list(line.box)) for line in ocr.read_words(picture.readable, reader)]
        known = CheckVerdict(WORDS, "pass", evidence={"lines": lines})
        if remembered is not None:
            remembered.put(WORDS, {"reader": reader}, known)
    return [text.Line(words, confidence, tuple(box)) for words, confidence, box in known.evidence["lines"]]


def load_judges() -> None:
    """Import the code of every check. Raises ImportError."""
    local.load_judges()
