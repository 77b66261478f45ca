"""Which addresses a manifest may name: where a key may go, where a callback may go, where the shared cache may be.

Knows no environment and opens no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from qwenbuild.later import later

with later:
    from qwenbuild import catalog

REMOTES = ("s3", "gs", "az", "https", "file")

Reason = tuple[str, str]
"""Why an address is refused ("" when it is not), and how to mend it."""


def base_url_problem(url: str, family: str, hosts: Sequence[str]) -> Reason:
    """Why `base_url` may not be this: a manifest may come from someone else, and the key would go there.

    The vendor's own hosts over https on their usual port, or loopback (plain http, too); any host where
    `hosts` is `*`, which then gets no key.
    """
    parts = _parts(url)
    if parts is None or not parts.hostname or parts.scheme not in ("http", "https"):
        return "is not an http(s) address", f"such as {next(iter(catalog.example().regions.values()))}"
    if parts.username is not None or parts.query or parts.fragment:
        return "must not hold a user name, a query or a fragment", ""
    if is_loopback(parts.hostname) or "*" in hosts:
        return "", ""
    if not any(_same(parts.hostname, host) for host in hosts):
        own_hosts = f"its own hosts are {', '.join(hosts)}; " if hosts else ""
        return (
            f"names a host that is not {family}'s",
            f"{own_hosts}another one is set by QWENBUILD_<NAME>_BASE_URL, outside the manifest",
        )
    if parts.scheme != "https" or parts.port not in (None, 443):
        return "must be https on the usual port: the key travels with it", ""
    return "", ""


def webhook_problem(url: str) -> Reason:
    """Why `webhook` may not be this."""
    parts = _parts(url)
    if parts is None or parts.scheme != "https" or not parts.hostname:
        return "must be an https address", "such as https://example.com/hook"
    return "", ""


def workspace_problem(workspace: str) -> Reason:
    """Why `workspace` may not be this: it becomes part of the host that the key is sent to."""
    if catalog.WORKSPACE.fullmatch(workspace):
        return "", ""
    return "is no id of a workspace", "letters and digits, with - between them, as the console shows it"


def remote_problem(url: str) -> str:
    """Why `remote` may not be this, "" when it may: one of the known schemes, and no credential in it."""
    parts = _parts(url)
    if parts is None or parts.scheme not in REMOTES:
        if parts is not None and parts.scheme == "http" and is_loopback(parts.hostname or ""):
            return ""
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in REMOTES)}"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or a password"
    if parts.scheme != "file" and not parts.netloc:
        return "names no bucket or host"
    return ""


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, in its usual spellings only (not 127.1, 0x7f.1 or 2130706433)."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if url.isprintable() and " " not in url and "\\" not in url else None


def _same(host: str, pattern: str) -> bool:
    return pattern != "*" and fnmatchcase(host.lower().rstrip("."), pattern)
