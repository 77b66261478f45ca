"""Signed links that expire, as object storage writes them.

Knows which job and picture a link means, nothing of what a picture looks like.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

from qwenbuild.emulator.wire import Reply, Request

PREFIX = "/oss/"
SECRET = b"emulated storage secret"
ACCESS_KEY = "LTAI5tEMULATED"


def signed_path(task: str, index: int, extension: str, day: str, expires: int) -> str:
    """`/oss/7d/a1/<day>/<8 hex>/<task>-<index>.<extension>?Expires=…&OSSAccessKeyId=…&Signature=…`."""
    name = hashlib.sha256(f"{task}/{index}".encode()).hexdigest()
    path = f"{PREFIX}{name[:2]}/{name[2:4]}/{day}/{name[4:12]}/{task}-{index + 1}.{extension}"
    return f"{path}?Expires={expires}&OSSAccessKeyId={ACCESS_KEY}&Signature={quote(signature(path, expires), safe='')}"


def signature(path: str, expires: int) -> str:
    """Base64 that always holds a `+` and a `=`, so that a client that rebuilds the query is found out."""
    mac = hmac.new(SECRET, f"GET\n{expires}\n{path}".encode(), hashlib.sha1).digest()
    return base64.b64encode(b"\xfb" + mac[:18]).decode()


def target(request: Request) -> tuple[str, int] | None:
    """The task and the picture's index that a path names."""
    name = request.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    task, dash, number = name.rpartition("-")
    return (task, int(number) - 1) if dash and number.isdigit() else None


def refusal(request: Request, now: float) -> Reply | None:
    """Why a link is not honoured, None when it is."""
    params = request.params()
    expires = params.get("Expires", "")
    if not expires.isdigit() or params.get("OSSAccessKeyId") != ACCESS_KEY:
        return xml(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
    if not hmac.compare_digest(params.get("Signature", "").encode(), signature(request.path, int(expires)).encode()):
        return xml(
            403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
        )
    return expired() if int(expires) < now else None


def expired() -> Reply:
    """What storage says of a link whose time is over."""
    return xml(403, "AccessDenied", "Request has expired.")


def xml(status: int, code: str, message: str) -> Reply:
    """Storage's error envelope."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, text.encode(), (("content-type", "application/xml"),))
