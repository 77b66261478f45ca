"""What `providers check` reports of one account, without spending.

Knows no API: each provider fills its own report.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from qwenbuild.errors import ProviderError


@dataclass(frozen=True, slots=True)
class AccountReport:
    """`key`: accepted, refused, not needed, or "" when nobody could tell. `credits` are in the provider's own unit."""

    name: str
    type: str
    base_url: str
    region: str = ""
    reachable: bool = False
    key: str = ""
    credits: Decimal | None = None
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether a build could submit."""
        return self.reachable and self.key in ("accepted", "not needed")


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


async def check_account(provider: Reports) -> AccountReport:
    """The account's report; an API that does not answer is part of the report and no error."""
    try:
        return await provider.account_report()
    except ProviderError as error:
        return AccountReport(provider.name, provider.family, provider.base_url, provider.region, message=error.message)
