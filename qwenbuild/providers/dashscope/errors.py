"""DashScope's error codes as a table, and what each means for the build.

Knows no HTTP: an error is a code, a message, and the HTTP status it came with (0 when it stood in a task).
"""

from __future__ import annotations

from typing import Literal

from qwenbuild.errors import AccountStop, FailedAtProvider, ProviderError, Refused, Throttled, Uncertain

Meaning = Literal[
    "refused", "throttled", "narrow", "slow", "failed", "uncertain", "credentials", "quota", "arrears", "model", "endpoint"
]

CODES: dict[str, Meaning] = {
    "InvalidParameter": "refused",
    "InvalidParameter.DataInspection": "failed",
    "DataInspectionFailed": "refused",
    "data_inspection_failed": "refused",
    "IPInfringementSuspect": "refused",
    "InvalidURL": "refused",
    "InvalidURL.Timeout": "failed",
    "BadRequest": "refused",
    "Arrearage": "arrears",
    "InvalidApiKey": "credentials",
    "invalid_api_key": "credentials",
    "NOT AUTHORIZED": "credentials",
    "AccessDenied": "endpoint",
    "AccessDenied.Unpurchased": "model",
    "Model.AccessDenied": "model",
    "Workspace.AccessDenied": "model",
    "Endpoint.AccessDenied": "model",
    "AllocationQuota.FreeTierOnly": "quota",
    "ModelNotFound": "model",
    "model_not_found": "model",
    "Model.NotExist": "model",
    "WorkSpaceNotFound": "model",
    "NotFound": "model",
    "RequestTimeOut": "uncertain",
    "GatewayTimeout": "uncertain",
    "Conflict": "failed",
    "Throttling": "throttled",
    "LimitRequests": "throttled",
    "Throttling.Concurrency": "narrow",
    "Throttling.AllocationQuota": "slow",
    "insufficient_quota": "slow",
    "CommodityNotPurchased": "arrears",
    "PrepaidBillOverdue": "arrears",
    "PostpaidBillOverdue": "arrears",
    "InternalError": "failed",
    "SystemError": "failed",
    "ModelServiceFailed": "failed",
    "RewriteFailed": "failed",
    "ResponseTimeout": "failed",
    "ServiceUnavailable": "failed",
    "ModelUnavailable": "failed",
}
"""From the vendor's error-code page; a code that is not here is read as its longest prefix at a dot."""

STATUSES: dict[int, Meaning] = {
    401: "credentials",
    402: "arrears",
    403: "endpoint",
    404: "model",
    408: "uncertain",
    429: "throttled",
    504: "uncertain",
}
ALWAYS_UNCERTAIN = frozenset({408, 504})
PACE = frozenset({"throttled", "narrow", "slow"})
ON_429 = PACE | {"quota", "arrears"}
"""What a 429 may mean, whatever else its body says: nothing was accepted, and it was too much, or there is no money for it."""
SLOW_PAUSE_S = 30.0
"""Seconds to wait when an allocated quota is used up: it is given out anew about every minute."""

SENTENCES = {
    "credentials": "DashScope {region} refused the key in {key_env} ({code}). A key works in one region only: "
    "this build asks {region}; if the key is {other}'s, write `region: {other}`",
    "arrears": "the DashScope account is not in good standing ({code}): {message}. Settle the bill, then build again",
    "quota": "the quota of {model} is used up ({code}): {message}. "
    "Switch off “free tier only” in the console or name another model",
    "model": "DashScope {region} does not offer {model} to this account ({code}): {message}",
    "endpoint": "DashScope {region} does not accept this call for {model} ({code}): {message}",
}
OTHER = {"singapore": "beijing", "beijing": "singapore"}


def meaning_of(status: int, code: str, message: str) -> Meaning:
    """What an error means. `status` is 0 for an error inside a task."""
    if status in ALWAYS_UNCERTAIN:
        return "uncertain"
    if "model not exist" in message.lower():
        return "model"
    if "free allocated quota exceeded" in message.lower():
        return "quota"
    meaning = _known(code)
    if status == 429 and meaning not in ON_429:
        return "throttled"
    if meaning is not None:
        return meaning
    if status >= 500 or status == 0:
        return "failed"
    return STATUSES.get(status, "refused")


def is_pace(status: int, code: str, message: str) -> bool:
    """Whether an error only says that too much was asked for at a time."""
    return meaning_of(status, code, message) in PACE


def _known(code: str) -> Meaning | None:
    while code:
        if code in CODES:
            return CODES[code]
        code = code.rpartition(".")[0]
    return None


def error_of(
    status: int,
    code: str,
    message: str,
    *,
    request_id: str = "",
    retry_after: float | None = None,
    region: str = "singapore",
    key_env: str = "",
    model: str = "the model",
) -> ProviderError:
    """The error of our tree. In a task (`status` 0) an error of pace or time is a failure: the task has ended."""
    meaning = meaning_of(status, code, message)
    words = f"{code}: {message}" if code else message
    if status == 0 and (meaning in PACE or meaning == "uncertain"):
        meaning = "failed"
    if meaning == "refused":
        return Refused(words, code=code, request_id=request_id)
    if meaning == "failed":
        return FailedAtProvider(words, code=code, request_id=request_id)
    if meaning == "uncertain":
        return Uncertain(words, code=code, request_id=request_id)
    if meaning in PACE:
        pause = retry_after if retry_after is not None or meaning != "slow" else SLOW_PAUSE_S
        return Throttled(words, retry_after=pause, narrow=meaning == "narrow", code=code, request_id=request_id)
    sentence = SENTENCES[meaning].format(
        region=region,
        other=OTHER.get(region, "another region"),
        key_env=key_env,
        code=code or status,
        message=message,
        model=model,
    )
    return AccountStop(sentence, kind=meaning, code=code, request_id=request_id)
