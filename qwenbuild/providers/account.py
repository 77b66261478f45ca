"""What `providers check` reports of one account, without spending.

Knows no API: each provider fills its own report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol, runtime_checkable

from qwenbuild.errors import ProviderError


@dataclass(frozen=True, slots=True)
class AccountReport:
    """`key`: accepted, refused, missing, not needed, or "" when nobody could tell. `credits` are in the provider's own unit.

    `models` are those that were asked about: whether the API names them, None where it keeps no list that can be read.
    `clock_difference_s` is how far the server's clock is ahead of ours. `proxy` is the way that its address is reached by,
    without its password. `used`: whether an entry is drawn by it.
    """

    name: str
    type: str
    base_url: str
    region: str = ""
    reachable: bool = False
    key: str = ""
    credits: Decimal | None = None
    message: str = ""
    models: Mapping[str, bool | None] = field(default_factory=dict)
    clock_difference_s: float | None = None
    proxy: str = ""
    used: bool = True

    @property
    def good(self) -> bool:
        """Whether a build could submit."""
        return self.reachable and self.key in ("accepted", "not needed")

    @property
    def region_is_right(self) -> bool | None:
        """Whether the key is this region's; None where there are no regions, or a refused key may be anybody's."""
        return True if self.region and self.key == "accepted" else None


@runtime_checkable
class Reports(Protocol):
    """A provider that can tell about its account."""

    name: str
    family: str
    base_url: str
    region: str

    async def account_report(self) -> AccountReport:
        """Ask the API, free of charge. Raises a ProviderError when it cannot be reached."""
        ...


@runtime_checkable
class NamesModels(Protocol):
    """A provider whose API names the models that it has."""

    async def names(self, models: Sequence[str]) -> Mapping[str, bool | None]:
        """Whether the API names each of these models; None where what it says cannot be read. Free. Raises a ProviderError."""
        ...


async def check_account(provider: Reports, models: Sequence[str] = ()) -> AccountReport:
    """The account's report; an API that does not answer is part of the report and no error."""
    try:
        report = await provider.account_report()
    except ProviderError as error:
        return AccountReport(provider.name, provider.family, provider.base_url, provider.region, message=error.message)
    unread: dict[str, bool | None] = dict.fromkeys(models)
    if not report.good or not isinstance(provider, NamesModels):
        return replace(report, models=unread)
    try:
        return replace(report, models=await provider.names(models))
    except ProviderError:
        return replace(report, models=unread)
