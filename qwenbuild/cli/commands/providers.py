"""`qwenbuild providers`: the model table, and whether a provider of the manifest can be reached.

Does not know the providers; rows are data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Group
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import escape, terminal, words

if TYPE_CHECKING:
    from qwenbuild.catalog import Model, Tariff
    from qwenbuild.model import Price
    from qwenbuild.providers import AccountReport


CLOCK_ALIKE_S = 5.0
"""Seconds that two clocks may differ without a word."""


@click.group("providers", cls=Group)
@opt.json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """List the models: sizes, limits, prices, whether a killed build can be resumed, retirement dates, licences.

    In a project, the `models:` of its manifest are applied.

    \b
    Examples:
      qwenbuild providers
      qwenbuild providers -v        sources of prices and dates too
      qwenbuild providers check     do the APIs answer, do the keys fit
    """
    if ctx.invoked_subcommand is not None:
        return 0
    rows = verbs.models(opt.walk())
    if as_json:
        console.as_json({"v": 1, "models": [_json(row) for row in rows]})
    else:
        console.result(_lines(rows))
    return 0


@command.command("check", short_help="Do the APIs answer, and do the keys fit?")
@click.argument("name", required=False, metavar="[NAME]")
@opt.json_option
def check(name: str | None, as_json: bool) -> int:
    """Check each provider that the manifest uses or configures, or the one named: does the API answer, is the key accepted in
    this region, does the API list the manifest's models, how far off is its clock, which proxy is used.

    Pays nothing. Exit 5 when a key is missing or refused, 1 when an API does not answer; what no asset uses is only reported.

    \b
    Examples:
      qwenbuild providers check
      qwenbuild providers check studio
    """
    reports = verbs.check_provider(opt.walk(), name)
    if as_json:
        console.as_json({"v": 1, "providers": [_account_json(report) for report in reports]})
    else:
        console.result(line for report in reports for line in _account_lines(report))
    return max((_account_code(report) for report in reports), default=0)


def _account_lines(report: AccountReport) -> Iterable[str]:
    out = current().out()
    state = "answers" if report.reachable else "was not asked" if report.key == "missing" else "does not answer"
    where = ", ".join(escape.visible(part) for part in (report.type, report.region, report.base_url) if part)
    yield f"{escape.visible(report.name)} ({where}): {out.style(state, 'green' if report.reachable else 'red')}"
    if report.key:
        yield f"  key: {report.key}"
    if report.region_is_right:
        yield f"  region: {escape.visible(report.region)} is this key's"
    yield from (f"  model {escape.visible(model)}: {_NAMED[named]}" for model, named in report.models.items() if report.good)
    if report.clock_difference_s is not None:
        yield f"  clock: {_clock(report.clock_difference_s)}"
    if report.proxy:
        yield f"  proxy: {escape.visible(report.proxy)}"
    if report.credits is not None:
        yield f"  credits: {report.credits}"
    if report.message:
        yield f"  {escape.visible(report.message)}"


_NAMED = {True: "named by the API", False: "not in the API's list", None: "the API keeps no list that can be read"}


def _clock(ahead_s: float) -> str:
    """How far the server's clock is ahead of this machine's; `Date` has no fractions, and answers take a while."""
    if abs(ahead_s) <= CLOCK_ALIKE_S:
        return "as this machine's"
    return f"the server's is {words.duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} this machine's"


def _account_json(report: AccountReport) -> Any:
    said = {name: str(value) if name == "credits" and value is not None else value for name, value in asdict(report).items()}
    return said | {"region_is_right": report.region_is_right}


def _account_code(report: AccountReport) -> int:
    if report.good or not report.used:
        return 0
    return 5 if report.key in ("refused", "missing") else 1


def _lines(rows: Sequence[Model]) -> Iterable[str]:
    out = current().out()
    family = ""
    widest = max(len(row.id) for row in rows)
    for row in rows:
        if row.family != family:
            yield from () if not family else ("",)
            family = row.family
            yield out.style(family, "bold")
        pace = f"{_rate(row.rate())}, {row.in_flight} at once"
        price, resumes = _price(row) + _hearsay(row), "resumable" if row.resumable else "no resume"
        yield f"  {row.id:<{widest}}  {price:<13}  {pace:<16}  {resumes}"
        yield from (out.style(f"      {line}", "dim") for line in _details(row, out.width - 6, out.verbose))
    if any(map(_hearsay, rows)):
        yield from ("", out.style("* by third parties' word, not on a page of the vendor's; -v names them", "dim"))


def _price(row: Model) -> str:
    """What a picture costs; the cheapest of several prices."""
    if row.price == {}:
        return "free"
    dearer = len({repr(words.price_json(price)) for price in _by_size(row).values()}) > 1
    return ("from " if dearer else "") + words.price_words(next(iter(_by_size(row).values())))


def _hearsay(row: Model) -> str:
    """A mark at a price that is not the vendor's own."""
    return "*" if row.price and "third part" in row.price_source else ""


def _by_size(row: Model) -> dict[int | None, Price | None]:
    """The prices of a picture by its pixels, up to so many; None: any larger one."""
    tiers: dict[int | None, Price | None] = {tier.pixels: tier.price for tier in row.price_tiers}
    return tiers | {None: row.price}


def _prices(row: Model) -> str:
    """Every price of a row that has more than one."""
    sized = [
        f"{words.price_words(price)} " + ("above" if pixels is None else f"up to {pixels:,} pixels")
        for pixels, price in _by_size(row).items()
    ]
    parts = sized if row.price_tiers else []
    parts += [f"{words.price_words(row.price_extended)} with prompt_extend"] if row.price_extended is not None else []
    parts += [f"{words.price_words(row.price_input)} for each reference image"] if row.price_input else []
    parts += [
        f"{region} {words.price_words(tariff.of(row.default_size, extended=False, inputs=0))}"
        for region, tariff in row.price_by_region.items()
    ]
    return f"prices: {', '.join(parts)}" if parts else ""


def _rate(rps: float) -> str:
    """Submissions a second, or a minute where that is less than one a second."""
    return f"{rps:g}/s" if rps >= 1 else f"{round(rps * 60, 1):g}/min"


def _details(row: Model, width: int, verbose: int) -> Iterable[str]:
    facts = [_sizes(row), _limits(row), _references(row), _prices(row)]
    yield from (fact if verbose else terminal.cut(fact, width) for fact in facts if fact)
    if row.retires:
        source = f" ({row.retires_source})" if row.retires_source and verbose else ""
        instead = f", take {row.replacement} instead" if row.replacement else ""
        yield f"retires {row.retires}{source}{instead}"
    if row.licence:
        yield f"licence: {row.licence}" + (" (research only)" if row.research_only else "")
    if verbose and row.price_source:
        yield f"price from {row.price_source}" + (f", read {row.price_date}" if row.price_date else "")
    if verbose and row.source:
        yield f"described by {row.source}" + (f", read {row.source_date}" if row.source_date else "")


def _sizes(row: Model) -> str:
    if row.ratios:
        return f"ratios {' '.join(row.ratios)}"
    if row.sizes:
        ordered = sorted(row.sizes, key=lambda size: size != row.default_size)
        return f"sizes {' '.join(ordered)}"
    if row.area:
        return f"sizes W*H, {row.area[0]:,} to {row.area[1]:,} pixels" + (
            f", default {row.default_size}" if row.default_size else ""
        )
    return f"sizes W*H, default {row.default_size}" if row.default_size else ""


def _limits(row: Model) -> str:
    parts = [f"prompt up to {row.prompt_limit:,} {row.prompt_unit}" if row.prompt_limit else ""]
    parts += [f"negative up to {row.negative_limit:,}" if row.negative_limit else ""]
    return ", ".join(part for part in parts if part)


def _references(row: Model) -> str:
    if not row.inputs_max:
        return ""
    return f"reference images: {row.inputs_min} to {row.inputs_max}"


def _tariff_json(tariff: Tariff) -> dict[str, Any]:
    return {
        "price": words.price_json(tariff.price),
        "price_extended": words.price_json(tariff.price_extended),
        "price_tiers": [{"pixels": tier.pixels, "price": words.price_json(tier.price)} for tier in tariff.price_tiers],
        "price_input": words.price_json(tariff.price_input),
    }


def _json(row: Model) -> dict[str, Any]:
    return {
        "provider": row.family,
        "model": row.id,
        "calls": list(row.calls),
        "sizes": list(row.sizes),
        "ratios": list(row.ratios),
        "area": list(row.area) if row.area else None,
        "default_size": row.default_size or None,
        "prompt_limit": row.prompt_limit,
        "prompt_unit": row.prompt_unit,
        "negative_limit": row.negative_limit,
        "inputs": [row.inputs_min, row.inputs_max],
        **_tariff_json(row.tariff("")),
        "price_by_region": {region: _tariff_json(tariff) for region, tariff in row.price_by_region.items()},
        "price_source": row.price_source or None,
        "price_date": row.price_date or None,
        "source": row.source or None,
        "source_date": row.source_date or None,
        "rps": row.rate(),
        "rpm": row.rpm or None,
        "in_flight": row.in_flight,
        "resumable": row.resumable,
        "retires": row.retires or None,
        "replacement": row.replacement or None,
        "licence": row.licence or None,
        "research_only": row.research_only,
        "experimental": row.experimental,
    }
