"""What a picture costs: by size, reference images, rewriting and region; and every plan's price is what the emulator bills."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from qwenbuild.catalog import FAMILIES, Catalog, Model, Tariff, Tier
from qwenbuild.emulator import Emulator
from qwenbuild.emulator.dashscope_bill import RATES
from qwenbuild.emulator.wire import Reply, Request
from qwenbuild.errors import InputError
from qwenbuild.gate import decide
from qwenbuild.key import action_key
from qwenbuild.model import Action, Order
from qwenbuild.ports import Gate
from qwenbuild.providers import build_provider
from qwenbuild.transport.http import Answer, Wire
from tests.walking import Project


def usd(amount: str) -> dict[str, Decimal]:
    return {"usd": Decimal(amount)}


TIERED = Tariff(usd("0.075"), price_tiers=(Tier(2_250_000, usd("0.04")),), price_input=usd("0.003"))


def test_a_tier_holds_up_to_its_last_pixel() -> None:
    assert TIERED.of("1500*1500", extended=False, inputs=0) == usd("0.04")
    assert TIERED.of("1500*1501", extended=False, inputs=0) == usd("0.075")


def test_each_reference_image_is_added() -> None:
    assert TIERED.of("1024*1024", extended=False, inputs=3) == usd("0.049")
    assert Tariff(usd("1"), price_input={"credits": Decimal(2)}).of("", extended=False, inputs=2) == {
        "usd": Decimal(1),
        "credits": Decimal(4),
    }


def test_rewriting_the_prompt_costs_what_its_tier_says() -> None:
    tariff = Tariff(usd("0.4"), usd("0.5"), (Tier(100, usd("0.1")), Tier(200, usd("0.2"), usd("0.3"))))
    sizes = ("10*10", "10*20", "20*20")
    assert [tariff.of(size, extended=False, inputs=0) for size in sizes] == [usd("0.1"), usd("0.2"), usd("0.4")]
    assert [tariff.of(size, extended=True, inputs=0) for size in sizes] == [usd("0.1"), usd("0.3"), usd("0.5")]


def test_what_is_not_known_of_a_price_makes_all_of_it_unknown() -> None:
    assert Tariff(None).of("10*10", extended=False, inputs=0) is None
    assert Tariff(usd("1"), price_input=None).of("10*10", extended=False, inputs=1) is None
    assert Tariff(usd("1"), price_input=None).of("10*10", extended=False, inputs=0) == usd("1")
    assert TIERED.of("", extended=False, inputs=0) is None  # the server would choose the size, and the price with it
    assert TIERED.of("16:9", extended=False, inputs=0) is None


# ---------------------------------------------------------------- a manifest says the same


def corrected(model: str, **columns: Any) -> Model:
    found = Catalog.load({model: columns}).find("dashscope", model)
    assert found is not None
    return found


def test_a_manifest_expresses_tiers_inputs_and_regions() -> None:
    row = corrected(
        "qwen-image-plus",
        price={"usd": "0.5"},
        price_tiers=[{"pixels": 200, "price": {"usd": "0.2"}}, {"pixels": 100, "price": {"usd": "0.1"}}],
        price_input={"usd": "0.01"},
        price_by_region={"beijing": {"price": {"usd": "9"}}},
    )
    said = {"extended": True, "inputs": 1}
    assert row.price_of("singapore", size="10*10", **said) == usd("0.11")
    assert row.price_of("singapore", size="10*20", **said) == usd("0.21")
    assert row.price_of("singapore", size="99*99", **said) == usd("0.51")
    assert row.price_of("beijing", size="10*10", **said) == usd("9")


def test_a_manifests_price_takes_the_place_of_all_of_the_tables() -> None:
    row = corrected("qwen-image-3.0-pro", price={"usd": "0.01"})
    assert row.price_of("beijing", size="2048*2048", extended=True, inputs=3) == usd("0.01")
    assert (row.price_source, row.price_date) == ("the manifest", "")


def test_a_manifests_price_of_reference_images_holds_in_every_region() -> None:
    row = corrected("qwen-image-3.0-pro", price_input={"usd": "1"})
    assert row.price_of("singapore", size="1024*1024", extended=True, inputs=2) == usd("2.04")
    assert row.price_of("beijing", size="1024*1024", extended=True, inputs=2) == usd("2.034381")


@pytest.mark.parametrize(
    "wrong",
    [
        {"price_tiers": [{"pixels": 5, "price": {"usd": "1"}}, {"pixels": 5, "price": {"usd": "2"}}]},
        {"price_by_region": {"beijing": {"price": {"usd": "cheap"}}}},
        {"price_tiers": [{"price": {"usd": "1"}}]},
    ],
)
def test_prices_that_cannot_be_read_are_an_input_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Catalog.load({"qwen-image": wrong})


MANIFEST = """\
version: 1
provider: dashscope
models:
  qwen-image-3.0-pro:
    price: {usd: "0.50"}
    price_tiers: [{pixels: 2250000, price: {usd: "0.20"}}]
    price_input: {usd: "0.01"}
    price_by_region: {beijing: {price: {yuan: "7"}}}
budget: {usd: "10", yuan: 3}
assets:
  small: {prompt: a lamp, model: qwen-image-3.0-pro, params: {size: "1024*1024"}}
  large: {prompt: a lamp, model: qwen-image-3.0-pro, params: {size: "2048*2048"}}
  edited: {prompt: a lamp, model: qwen-image-3.0-pro, params: {size: "1024*1024"}, inputs: [{entry: small}, {entry: large}]}
  unsaid: {prompt: a lamp, model: qwen-image-2.1-pro}
"""


def test_a_plan_adds_the_price_of_each_size_and_reference_and_brakes_at_the_unknown(walked: Project) -> None:
    walked.manifest(MANIFEST)
    made = walked.plan().plan
    assert [step.candidates[0].price for step in made.steps] == [usd("0.20"), usd("0.50"), usd("0.22"), None]
    assert (made.cost, made.unknown_price) == (usd("0.92"), 1)
    assert decide(made, {}, yes=False, max_cost=usd("5")).code == "consent"


# ---------------------------------------------------------------- plan = bill

PNG = b"\x89PNG\r\n\x1a\n"
REGIONS = {"dashscope": ("singapore", "beijing")}
BILLED = [row for name in ("dashscope", "apiframe", "qwen2512") for row in FAMILIES[name].models]


def sizes(row: Model) -> list[str]:
    """Every size that the row lists, else its bounds, its ratios' sizes and both sides of each price tier."""
    listed = [*row.sizes, *row.ratios, *row.aliases.values(), row.default_size]
    if not row.sizes and not row.ratios and "size" in row.params:
        edges = [pixels for tier in row.price_tiers for pixels in (tier.pixels, tier.pixels + 1)]
        edges += list(row.area or (row.sides and (row.sides[0] ** 2, row.sides[1] ** 2)) or ())
        listed += [_square(edge) for edge in edges] + [f"1500*{1500 + more}" for more in (0, 1) if row.price_tiers]
    return [size for size in dict.fromkeys(listed) if not size or row.size(size) == (size, "")]


def _square(pixels: int) -> str:
    side = int(pixels**0.5)
    return f"{side}*{side}"


def requests(row: Model) -> Iterator[tuple[str, str, bool, int]]:
    """Region, size, rewriting and number of reference images: every combination that this model takes."""
    for region in REGIONS.get(row.family, ("",)):
        for size in sizes(row):
            for extended in {False, "prompt_extend" in row.params}:
                for inputs in range(row.inputs_min, row.inputs_max + 1):
                    if not inputs or not row.inputs_fault(size):
                        yield region, size, extended, inputs


@pytest.fixture
def bills(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator in this process, reached without sockets."""
    played = Emulator(enforce=False, dialect="lenient", validation="immediate")

    async def post(self: Wire, url: str, headers: dict[str, str], body: bytes, gate: Gate, **more: Any) -> Answer:
        sent = {name.lower(): value for name, value in headers.items()}
        reply = played.respond(Request("POST", urlsplit(url).path, headers=sent, body=body))
        assert isinstance(reply, Reply)
        return Answer(reply.status, dict(reply.headers), reply.body)

    monkeypatch.setattr(Wire, "post", post)
    return played


def provider(row: Model, region: str) -> Any:
    """The client of a row's API, at the emulator's addresses."""
    said = {"region": region} if region else {"dialect": row.dialect} if row.dialect else {}
    settings = FAMILIES[row.family].settings_of(row.family, said)
    keys = {
        "DASHSCOPE_API_KEY": f"sk-emulated-{region}-0001",
        "APIFRAME_API_KEY": "afk_emulated_0001",
        "QWEN2512_API_KEY": "sk-emulated-2512-0001",
    }
    paths = {"dashscope": f"/dashscope/{region}/api/v1", "apiframe": "/apiframe", "qwen2512": "/qwen2512"}
    address = {f"QWENBUILD_{row.family.upper()}_BASE_URL": f"http://127.0.0.1:9{paths[row.family]}"}
    return build_provider(settings, Catalog.load(), {**keys, **address})


@pytest.mark.parametrize("row", BILLED, ids=lambda row: f"{row.family}:{row.id}")
async def test_a_plans_price_is_the_bill_for_every_size_and_input(row: Model, bills: Emulator) -> None:
    count = 0
    for region in REGIONS.get(row.family, ("",)):
        asked = provider(row, region)
        for where, size, extended, inputs in requests(row):
            if where != region:
                continue
            digests = tuple("0" * 64 for _ in range(inputs))
            extra = tuple(sorted((name, each["default"]) for name, each in row.extra.items() if "default" in each))
            action = Action(row.family, row.id, "a lamp", size, 7, prompt_extend=extended, inputs=digests, extra=extra)
            assert asked.check(action) == ()
            links = ("https://example.org/a.png",) * inputs
            order = Order(action, action_key(action), count, ((PNG, "image/png"),) * inputs, links)
            await asked.submit(order, asked.body(order), Gate())
            job = bills.book.jobs[-1]
            planned = asked.price(action)
            if planned is None:
                assert row.price is None
                count += 1
                continue
            billed = {unit: Decimal(amount) for unit, amount in job.charged(job.end).items()}
            assert billed == planned, (region, size, extended, inputs)
            count += 1
        await asked.close()
    assert count == len(bills.book.jobs) > 0


def test_the_emulator_bills_every_model_that_the_table_has() -> None:
    assert {row.id for row in FAMILIES["dashscope"].models} == RATES.keys()
