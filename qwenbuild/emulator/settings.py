"""How the emulator behaves, and who has an account with it: everything a test can set.

Knows nothing of requests; the defaults are the vendors' documented behaviour, except that time runs fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

DAY_S = 86400.0


@dataclass(slots=True)
class Settings:
    """Switches of one emulator. Times are in seconds, prices in the unit of the API."""

    latency: float = 0.05
    """From the start of a job to its end."""
    pending: float = 0.01
    """From acceptance to the start, when a place is free."""
    extend_delay: float = 0.0
    """Added when the prompt is rewritten (the real service takes 3 to 4 s)."""
    retention: float = DAY_S
    """How long tasks and links live."""
    unique: bool = True
    """Every job gives another picture. False: the same request gives the same picture."""
    weight: int = 0
    """Least size of a picture in bytes, roughly."""
    validation: Literal["deferred", "immediate"] = "deferred"
    """When the asynchronous DashScope call complains about a bad field: in the task, or at once."""
    enforce: bool = True
    """Refuse what is over the rate. False: only count it."""
    rate: float | None = None
    """Submissions a second for every account and model, in place of the vendors' figures."""
    rate_grace: float = 0.0
    """Seconds by which the window of a rate is shorter than it should be: for machines on which requests arrive unevenly."""
    concurrency: int | None = None
    """Unfinished jobs for every account and model, in place of the vendors' figures."""
    overflow: Literal["queue", "refuse"] = "queue"
    """What happens to a job over the concurrency: it waits, or 429."""
    retry_after: str | None = None
    """A Retry-After header on DashScope's and 2512.org's 429 (Apiframe always sends one)."""
    query_rate: int = 20
    """Task queries, listings and cancellations a second, each, per DashScope account."""
    listing: bool = True
    """Whether tasks can be listed."""
    listing_lag: float = 0.0
    """How long a new task is missing from the list."""
    zone_hours: float = 8.0
    """The zone of DashScope's times, in hours east of UTC; the vendor does not say which."""
    idempotency: bool = True
    """Whether Apiframe honours Idempotency-Key."""
    dialect: Literal["docs", "openapi", "lenient"] = "docs"
    """Which of Apiframe's two contradicting field spellings is accepted; lenient takes both."""
    result_shape: Literal["images", "list", "string", "url"] = "images"
    """How Apiframe writes a result."""
    always_200: bool = False
    """2512.org answers HTTP 200 whatever the body's code says."""
    served_model: str = "Qwen/Qwen-Image-2512"
    """What the self-hosted server serves."""
    server: Literal["vllm", "sglang"] = "vllm"
    """Which self-hosted server is played."""
    answer_shape: Literal[
        "plain", "data_url", "lines", "url_safe", "data_in_url", "url", "relative_url", "one", "none", "error", "cut"
    ] = "plain"
    """How the self-hosted server writes its picture down, and whether it gives one at all."""
    date_skew: float = 0.0
    """How wrong the Date header is."""
    date_header: bool = True
    """Whether answers carry a Date header at all."""
    refuse_words: tuple[str, ...] = ()
    """A prompt with one of these words fails for its content."""


@dataclass(slots=True)
class Account:
    """Somebody with keys for one API (and region), and what is left to spend."""

    name: str
    api: str
    region: str = ""
    keys: tuple[str, ...] = ()
    credits: int = 1_000_000
    free: int = 0
    """Free pictures for each model (DashScope gives 100 in Singapore)."""
    free_only: bool = False
    """Refuse instead of charging once the free pictures are used."""
    arrears: bool = False
    inactive: bool = False
    unpurchased: tuple[str, ...] = ()
    """Models that this account has not enabled."""
    used: dict[str, int] = field(default_factory=dict)
    """Free pictures used, by model."""

    def free_left(self, model: str) -> int:
        """Free pictures left for a model."""
        return max(0, self.free - self.used.get(model, 0))


def default_accounts() -> list[Account]:
    """One account for each API and region; DashScope's have two keys each, which share their limits."""
    return [
        Account("singapore", "dashscope", "singapore", ("sk-emulated-singapore-0001", "sk-emulated-singapore-0002")),
        Account("beijing", "dashscope", "beijing", ("sk-emulated-beijing-0001", "sk-emulated-beijing-0002")),
        Account("apiframe", "apiframe", "", ("afk_emulated_0001",)),
        Account("qwen2512", "qwen2512", "", ("sk-emulated-2512-0001",)),
    ]


def apply(target: Settings | Account, changes: Mapping[str, Any]) -> None:
    """Set fields by name; ValueError names an unknown one and lists the known."""
    names = {item.name for item in fields(target)}
    unknown = sorted(set(changes) - names)
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(names))}")
    for name, value in changes.items():
        setattr(target, name, tuple(value) if isinstance(value, list) else value)


def configure_account(accounts: list[Account], name: str, changes: Mapping[str, Any]) -> None:
    """Change an account, or open one when no account has that name and `api` is given."""
    account = next((account for account in accounts if account.name == name), None)
    if account is None:
        if "api" not in changes:
            raise ValueError(f"no account {name!r}; known: {', '.join(account.name for account in accounts)}")
        account = Account(name, str(changes["api"]))
        accounts.append(account)
    apply(account, changes)
