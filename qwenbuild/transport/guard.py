"""Decide which address a picture may be fetched from: https, a host the provider is known for, a public address.

Knows no request; a name is judged before it is looked up, its addresses after. A proxy looks names up itself: then only
the name can be judged.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

PRIVATE_NAMES = (".local", ".internal", ".localhost", ".lan", ".home", ".corp", ".intranet")
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""Carries an IPv4 address inside an IPv6 one, and counts as public in Python 3.11."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HostRefused(Exception):
    """The address may not be fetched from."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself, in its plain spellings."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an address is on the public internet, looking through the forms that wrap an IPv4 address."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _wrapped(ip)
        if inner is not None:
            return is_public(str(inner))
        if ip in TRANSLATED:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_unspecified


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Host patterns of one provider; `loopback` allows this machine, over plain http too, because the API is here as well."""

    hosts: tuple[str, ...]
    loopback: bool = False

    def check(self, url: str) -> None:
        """Raises HostRefused unless `url` may be asked for."""
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").lower().rstrip("."), parts.port
        except ValueError:
            raise HostRefused("an address that cannot be read") from None
        if parts.username is not None or parts.password is not None or not host:
            raise HostRefused("an address with a user name, or without a host")
        if self.loopback and is_loopback(host):
            if parts.scheme not in ("http", "https"):
                raise HostRefused(f"{parts.scheme}: instead of http: or https:")
            return
        if parts.scheme != "https":
            raise HostRefused(f"{parts.scheme}: instead of https:")
        if not self._known(host):
            raise HostRefused(f"the host {host}, which is not one of {', '.join(self.hosts) or 'any'}")

    def _known(self, host: str) -> bool:
        if _looks_numeric(host) or "." not in host or host.endswith(PRIVATE_NAMES):
            return False
        return any(fnmatchcase(host, pattern) for pattern in self.hosts)

    def address_allowed(self, address: str) -> bool:
        """Whether a connection to this address, which a name led to, may be opened."""
        return (self.loopback and is_loopback(address)) or is_public(address)


def _looks_numeric(host: str) -> bool:
    """Every spelling of an address that some resolver takes: 2130706433, 0x7f.1, 127.1, [::1]."""
    last = host.rsplit(".", 1)[-1]
    return ":" in host or last.isdigit() or last.startswith("0x")
