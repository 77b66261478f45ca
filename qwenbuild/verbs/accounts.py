"""The model table as a manifest corrects it, and whether the accounts of its providers answer.

Spends nothing; a key goes to the one address of its provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwenbuild import manifest, resolve
from qwenbuild.catalog import FAMILIES, Catalog, Model
from qwenbuild.errors import CredentialsError, InputError
from qwenbuild.later import later
from qwenbuild.planning.loading import Loaded, known_provider, load
from qwenbuild.project.keyfile import Environment
from qwenbuild.project.options import Options

with later:
    from qwenbuild import providers
    from qwenbuild.transport import environment, guard

if TYPE_CHECKING:
    from qwenbuild.providers.account import AccountReport


def models(options: Options) -> tuple[Model, ...]:
    """The model table with the manifest's `models:`; as it is shipped where there is no manifest. Raises InputError."""
    try:
        path = manifest.find(options.folder, options.file)
    except InputError as error:
        if options.file or error.code != "no-manifest":
            raise
        return _table({})
    return _table(manifest.load(path).models)


def _table(corrections: Mapping[str, Any]) -> tuple[Model, ...]:
    """Every row, those of installed plug-ins among them. Raises InputError for a plug-in that is broken."""
    FAMILIES.with_all_plugins()
    return tuple(Catalog.load(corrections).rows())


def check_provider(options: Options, name: str | None) -> list[AccountReport]:
    """Of each provider that the manifest uses or configures, or of the one that is named: whether it answers, whether its key
    opens the account, which of the manifest's models it names. Nothing is spent.

    Raises CredentialsError when the key of the one that was named is missing, InputError for one that does not exist.
    """
    loaded = load(options)
    if name is not None:
        known_provider(loaded.manifest, name)
    used = dict.fromkeys([loaded.manifest.provider, *(asset.provider for asset in loaded.manifest.assets if asset.provider)])
    names = [name] if name is not None else list(dict.fromkeys([*used, *loaded.manifest.providers]))
    return asyncio.run(_reports(loaded, names, set(used) | ({name} if name else set()), alone=name is not None))


async def _reports(loaded: Loaded, names: list[str], used: set[str], *, alone: bool) -> list[AccountReport]:
    reports = await asyncio.gather(*(_report(loaded, name, alone) for name in names))
    return [replace(report, used=report.name in used) for report in reports]


async def _report(loaded: Loaded, name: str, alone: bool) -> AccountReport:
    settings = resolve.settings_of(loaded.manifest, name)
    family = loaded.catalog.families[settings.type]
    environ = Environment(loaded.manifest.folder)
    asked = _models(loaded, name)
    try:
        provider = providers.build_provider(settings, loaded.catalog, environ)
    except (CredentialsError, InputError) as error:
        if alone:
            raise
        key = "missing" if isinstance(error, CredentialsError) else ""
        region = settings.region if "region" in family.settings else ""
        return providers.AccountReport(name, family.name, settings.base_url or "", region, key=key, message=str(error))
    try:
        assert isinstance(provider, providers.Reports), f"{provider.name} tells nothing of its account"
        report = await providers.check_account(provider, asked)
        return replace(report, proxy=_proxy(provider.base_url))
    finally:
        await provider.close()


def _models(loaded: Loaded, name: str) -> list[str]:
    """The models that the manifest asks this provider for."""
    drawn = [each.candidates[0].action.model for each in loaded.keyed if each.entry.provider == name]
    settings = resolve.settings_of(loaded.manifest, name)
    return list(dict.fromkeys([*drawn, *([settings.model] if settings.model else [])]))


def _proxy(address: str) -> str:
    """The proxy on the way to an address, without user name and password; "" for the straight way."""
    parts = urlsplit(address)
    if not parts.hostname or guard.is_loopback(parts.hostname):
        return ""
    proxy = environment.proxy_for(parts.scheme, parts.hostname)
    if proxy is None:
        return ""
    way = urlsplit(proxy)
    return f"{way.scheme}://{way.hostname}" + (f":{way.port}" if way.port else "")
