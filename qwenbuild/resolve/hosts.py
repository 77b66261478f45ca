"""Check a provider's block: its webhook, its region, and which address a manifest may name.

Knows no environment: a variable's address is judged where it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from qwenbuild.catalog import Family
from qwenbuild.model import ProviderSettings

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def variable(name: str) -> str:
    """A provider's name as it stands in the name of an environment variable."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).upper()


def host_allowed(base_url: str, family: Family) -> bool:
    """Whether a manifest may name this address: https to the vendor's own hosts, or loopback; any host where a row says `*`."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if parts.username or parts.password or not host or parts.scheme not in ("https", "http"):
        return False
    if host in LOOPBACK:
        return True
    return (parts.scheme == "https" or "*" in family.hosts) and any(fnmatchcase(host, pattern) for pattern in family.hosts)


def settings_faults(settings: ProviderSettings, family: Family) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a provider's block: the key it stands under, a sentence, a hint."""
    if settings.webhook and not family.webhook:
        yield "webhook", f"{settings.type} takes no webhook", ""
    elif settings.webhook and urlsplit(settings.webhook).scheme != "https":
        yield "webhook", "a webhook is an https:// address", ""
    if settings.base_url and not host_allowed(settings.base_url, family):
        own = ", ".join(family.hosts) or "none"
        hint = f"set QWENBUILD_{variable(settings.name)}_BASE_URL in the environment for another host"
        yield "base_url", f"a base_url of {settings.type} in a manifest names loopback or the vendor's own hosts ({own})", hint
    if "region" in family.settings and settings.region not in family.regions:
        yield "region", f"no region {settings.region!r}: there are {', '.join(family.regions)}", ""
