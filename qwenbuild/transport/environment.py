"""The way out as the environment sets it up: proxies, exceptions from them and certificates, checked before anything is sent.

Knows no request, no API and no library of HTTP; opens no connection.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import os
import re
import ssl
import stat
from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from qwenbuild.errors import InputError

KINDS = ("http", "https", "all")
SCHEMES = ("http", "https", "socks5", "socks5h")
CERTIFICATES_CAP_BYTES = 16 << 20
"""Bytes of a file of certificates; a system's own has a quarter of a megabyte."""

_HOST = re.compile(r"[A-Za-z0-9._-]+")
_BRACKETS = re.compile(r"\[(.*)\](?::\d+)?")


def check_proxies() -> None:
    """Raises InputError, which names the variable, for a proxy or an exception from proxies that cannot be used."""
    proxies = getproxies()
    no_proxy = _entries(proxies)
    if "*" in no_proxy or not any(proxies.get(kind) for kind in KINDS):
        return
    for entry in no_proxy:
        if _looks_ipv6(entry) and _network(entry) is None:
            name = _variable("no", proxies["no"])
            raise _fault(
                f"{name} has an entry that is neither a host nor an address: {entry!r}; IPv6 is written ::1 or fd00::/8"
            )
    for kind in KINDS:
        if proxies.get(kind):
            _checked_proxy(kind, proxies[kind])


def proxy_for(scheme: str, host: str) -> str | None:
    """The address of the proxy that leads to a host, None for the straight way. Raises InputError as `check_proxies` does."""
    proxies = getproxies()
    kind = scheme if proxies.get(scheme) else "all"
    if not proxies.get(kind) or _bypassed(host, _entries(proxies)):
        return None
    return _checked_proxy(kind, proxies[kind])


def checked_context(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What `make` makes of SSL_CERT_FILE or SSL_CERT_DIR. Raises InputError, which names the variable."""
    if file := os.environ.get("SSL_CERT_FILE"):
        _check_file("SSL_CERT_FILE", file)
    elif folders := os.environ.get("SSL_CERT_DIR"):
        for folder in folders.split(os.pathsep):
            _check_folder("SSL_CERT_DIR", folder)
    try:
        return make()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(name)]
        sources = " or ".join(f"{name} ({os.environ[name]})" for name in names) or "the certificates of this Python"
        raise _fault(f"{sources} cannot be used for encrypted connections: {_reason(error)}", "certificates") from error


# ---------------------------------------------------------------- proxies


def _checked_proxy(kind: str, value: str) -> str:
    name = _variable(kind, value)
    address = value.strip()
    address = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("http://")
    if parts.scheme not in SCHEMES:
        raise _fault(f"{name} names a proxy with {parts.scheme}://, which is not supported; use http:// or https://")
    if not (_HOST.fullmatch(host) or _is_ipv6(host)) or port == 0 or not address.isprintable() or " " in address:
        raise _fault(f"{name} is not the address of a proxy; it must look like http://host:port")
    if parts.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        words = "needs the Python package socksio, which is not installed"
        raise _fault(f"{name} names a SOCKS proxy, which {words}: install it, name an http:// proxy, or unset {name}")
    return address


def _bypassed(host: str, no_proxy: list[str]) -> bool:
    if "*" in no_proxy or proxy_bypass(host):
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return any(network is not None and address in network for network in map(_network, no_proxy))
    return False


def _entries(proxies: dict[str, str]) -> list[str]:
    return [entry for part in proxies.get("no", "").split(",") if (entry := part.strip())]


def _looks_ipv6(entry: str) -> bool:
    return "[" in entry or "]" in entry or ("://" not in entry and entry.count(":") > 1)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The addresses that an entry of NO_PROXY stands for, None for a name."""
    brackets = _BRACKETS.fullmatch(entry)
    try:
        return ipaddress.ip_network(brackets[1] if brackets else entry, strict=False)
    except ValueError:
        return None


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _variable(kind: str, value: str) -> str:
    """The name of the variable that holds this value; some systems keep proxies in their settings."""
    names = [name for name, setting in os.environ.items() if name.lower() == f"{kind}_proxy" and setting == value]
    return names[-1] if names else f"the proxy for {kind} in the system's settings"


# ---------------------------------------------------------------- certificates


def _check_file(name: str, path: str) -> None:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unusable(name, path, _reason(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(name, path, "it is not a file")
    if status.st_size > CERTIFICATES_CAP_BYTES:
        raise _unusable(name, path, f"it is larger than {CERTIFICATES_CAP_BYTES >> 20} MB")


def _check_folder(name: str, path: str) -> None:
    try:
        os.listdir(path or ".")
    except (OSError, ValueError) as error:
        raise _unusable(name, path, _reason(error)) from error


def _unusable(name: str, path: str, why: str) -> InputError:
    return _fault(f"{name} names certificates that cannot be read: {path} ({why})", "certificates")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "there is no certificate in it" if "NO_CERTIFICATE" in str(error) else str(error.reason or error)
    return getattr(error, "strerror", None) or str(error)


def _fault(words: str, code: str = "proxy") -> InputError:
    return InputError(words, code=code)
