"""Read DashScope's answers: both error envelopes, both shapes of a result, the states of a task.

Knows no connection; what cannot be read is None or empty, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbuild.transport.http import Answer


@dataclass(frozen=True, slots=True)
class ErrorEnvelope:
    """An error envelope, flat or inside `error` or `output`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ResultItem:
    """One picture of a result, or the error that stands in its place."""

    url: str = ""
    actual_prompt: str = ""
    orig_prompt: str = ""
    fault: ErrorEnvelope | None = None


def text(value: Any) -> str:
    """A string as it is, everything else as nothing."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """An object as it is, everything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A list as it is, everything else as an empty one."""
    return value if isinstance(value, list) else []


def request_id(answer: Answer, body: Mapping[str, Any] | None) -> str:
    """The vendor's id of this request, from the body or the header."""
    return text(mapping(body).get("request_id")) or answer.headers.get("x-request-id", "")


def fault_of(body: Mapping[str, Any] | None) -> ErrorEnvelope | None:
    """The error envelope of a body: native, or that of the OpenAI-compatible hosts."""
    if body is None:
        return None
    for record in (body, mapping(body.get("error"))):
        code = text(record.get("code"))
        if code:
            return ErrorEnvelope(code, text(record.get("message")))
    return None


def items(output: Mapping[str, Any]) -> tuple[ResultItem, ...]:
    """The pictures of `output.results` and of `output.choices`, in order."""
    return (*_results(output), *_choices(output))


def _results(output: Mapping[str, Any]) -> Iterator[ResultItem]:
    for raw in as_list(output.get("results")):
        record = mapping(raw)
        if text(record.get("url")):
            yield ResultItem(_https(record["url"]), text(record.get("actual_prompt")), text(record.get("orig_prompt")))
        elif text(record.get("code")):
            yield ResultItem(fault=ErrorEnvelope(record["code"], text(record.get("message"))))


def _choices(output: Mapping[str, Any]) -> Iterator[ResultItem]:
    for choice in as_list(output.get("choices")):
        for part in as_list(mapping(mapping(choice).get("message")).get("content")):
            url = text(mapping(part).get("image"))
            if url:
                yield ResultItem(_https(url))


def _https(url: str) -> str:
    """The vendor's storage gives some links out as http; the same object is there over https."""
    host = url[7:].partition("/")[0]
    return "https://" + url[7:] if url.startswith("http://") and host.endswith(".aliyuncs.com") else url
