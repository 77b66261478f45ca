"""Providers by type: which class, which address, which key.

Knows no wire format and sends nothing. Each type's module, and httpx with it, is imported when one is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbuild.catalog import Catalog, Family
from qwenbuild.errors import CredentialsError, InputError
from qwenbuild.model import ProviderSettings
from qwenbuild.plugins import broken
from qwenbuild.ports import Provider
from qwenbuild.providers.account import AccountReport, Reports, check_account
from qwenbuild.resolve import host_allowed, variable
from qwenbuild.transport.guard import is_loopback
from qwenbuild.transport.secret import Secret, redact

if TYPE_CHECKING:
    from qwenbuild.pace.clock import Waits

MEMBERS = tuple(name for name in vars(Provider) if not name.startswith("_") and callable(getattr(Provider, name)))
"""The methods that every provider has."""

__all__ = [
    "AccountReport",
    "Reports",
    "Secret",
    "base_url",
    "build_provider",
    "check_account",
    "key_variable",
    "provider_class",
    "redact",
]


def build_provider(
    settings: ProviderSettings, catalog: Catalog, environ: Mapping[str, str], *, waits: Waits | None = None, **site: Any
) -> Provider:
    """The provider of these settings.

    `environ` holds keys and `QWENBUILD_<NAME>_BASE_URL`; `waits` replaces the clock in tests. Raises CredentialsError
    when the key is missing, InputError for an address that a key must not be sent to.
    """
    from qwenbuild.pace.clock import Waits
    from qwenbuild.providers.site import Site

    family = catalog.families[settings.type]
    address = base_url(settings, family, environ)
    name = key_variable(settings, family)
    key = Secret(_key(settings, family, environ, address, name))
    more = tuple(environ.get("QWENBUILD_DOWNLOAD_HOSTS", "").split())
    hosts = (*family.download_hosts, *more)
    described = Site(settings, catalog, address, key, name, hosts, waits or Waits(), **site)
    provider: Provider = provider_class(family)(described)
    return provider


def provider_class(family: Family) -> Any:
    """The class that a family's row names, imported now. Raises InputError for a plug-in's that is not there or not whole."""
    module, _, name = family.provider.partition(":")
    try:
        cls = getattr(import_module(module), name)
    except Exception as error:
        if not family.plugin:
            raise
        message = f"cannot be loaded: {type(error).__name__}: {error}"
        raise broken("provider", family.name, family.plugin, message) from error
    missing = [member for member in MEMBERS if not hasattr(cls, member)] if family.plugin else []
    if missing:
        raise broken("provider", family.name, family.plugin, f"lacks `{missing[0]}`, which every provider must have")
    return cls


def base_url(settings: ProviderSettings, family: Family, environ: Mapping[str, str]) -> str:
    """The one address this provider talks to, without a final slash: environment, manifest, workspace, the vendor's own.

    Raises InputError for an address that a manifest may not name, or that is neither https nor loopback.
    """
    if not family.regions.get("", "x"):
        return ""
    from_env = f"QWENBUILD_{variable(settings.name)}_BASE_URL"
    override = environ.get(from_env, "").strip()
    if override:
        return _sound(override, from_env, plain="*" in family.hosts)
    if settings.base_url:
        if not host_allowed(settings.base_url, family):
            message = f"providers.{settings.name}.base_url names a host that is not the vendor's; {from_env} may"
            raise InputError(message, code="base-url")
        return settings.base_url.rstrip("/")
    if workspace := settings.own.get("workspace"):
        try:
            return family.workspace_url(settings.region, str(workspace))
        except ValueError as error:
            raise InputError(f"providers.{settings.name}.workspace: {error}", code="workspace") from None
    vendor = family.regions.get(settings.region) or family.regions.get("")
    if vendor is None:
        message = f"providers.{settings.name} needs a base_url: the address of your server, or {from_env}"
        raise InputError(message, code="base-url")
    return vendor


def _sound(address: str, source: str, plain: bool) -> str:
    parts = urlsplit(address)
    if parts.hostname and not parts.username and not parts.query and not parts.fragment:
        https = parts.scheme == "https"
        if https or (parts.scheme == "http" and (plain or is_loopback(parts.hostname))):
            return address.rstrip("/")
    raise InputError(f"{source} must be an https:// address; http:// is for this machine only", code="base-url")


def key_variable(settings: ProviderSettings, family: Family) -> str:
    """The name of the variable that holds the key, "" where none is needed."""
    return settings.api_key_env or family.key_env


def _key(settings: ProviderSettings, family: Family, environ: Mapping[str, str], address: str, name: str) -> str:
    if not name:
        return ""
    value = environ.get(name, "").strip()
    if "*" in family.hosts:
        return value if _may_have_key(settings, environ, address) else ""
    if not value:
        message = f"{settings.name} needs a key: set {name} in the environment or in a file `.env` beside the manifest"
        raise CredentialsError(message, code="key-missing")
    if any(letter.isspace() or not letter.isprintable() or not letter.isascii() for letter in value):
        raise CredentialsError(f"the key in {name} holds white space or other characters no key has", code="key-malformed")
    return value


def _may_have_key(settings: ProviderSettings, environ: Mapping[str, str], address: str) -> bool:
    """A self-hosted server's key: only one that the manifest names, for OPENAI_API_KEY is often there and somebody else's;
    only to an address from the environment or this machine, and never in the clear.
    """
    parts = urlsplit(address)
    from_env = bool(environ.get(f"QWENBUILD_{variable(settings.name)}_BASE_URL", "").strip())
    return bool(settings.api_key_env) and (is_loopback(parts.hostname or "") or (from_env and parts.scheme == "https"))
