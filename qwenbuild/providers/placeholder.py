"""The embedded provider: draws a picture with the prompt's words, offline and free.

Knows no network; how the picture looks is the image module's.
"""

from __future__ import annotations

import asyncio

from qwenbuild.images import check, placeholder_png
from qwenbuild.model import Action, Limits, Order, Picture, Price, Ticket
from qwenbuild.ports import Gate
from qwenbuild.providers.account import AccountReport
from qwenbuild.providers.site import Hosted, Site, checked, compact, pixels

PNG = ("image/png",)


class Placeholder(Hosted):
    """Deterministic pictures. Its ticket holds the picture itself, and an order may be sent again at will."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.account = ""

    def limits(self, model: str) -> Limits:
        """No pace, and as many drawings at a time as the manifest says."""
        given = super().limits(model)
        return Limits(given.rps or float("inf"), given.concurrency)

    def price(self, action: Action) -> Price | None:
        """Free."""
        return {}

    def body(self, order: Order) -> bytes:
        """The key alone: nothing is sent."""
        return compact({"key": order.key})

    async def prepare(self, order: Order) -> Order:
        """Nothing has to be prepared."""
        return order

    def draw(self, order: Order) -> Picture:
        """Draw, and check what was drawn as if it had come from elsewhere."""
        data = placeholder_png(order.action)
        checked = check(data, pixels(order.action.size), PNG)
        return Picture(data, checked.media_type, checked.width, checked.height, order.key[:16], billed={})

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Draw one by itself."""
        data = await asyncio.to_thread(placeholder_png, order.action)
        return Ticket(self.name, "", task_id=order.key[:16], data=data)

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """The picture of the ticket; one whose bytes are gone is drawn again, it is the same."""
        data = ticket.data or await asyncio.to_thread(placeholder_png, action)
        return await checked(data, action, PNG, Picture(b"", "", 0, 0, ticket.task_id, billed={}))

    async def clock_difference(self) -> float | None:
        """None at all: it is this machine's clock."""
        return 0.0

    async def account_report(self) -> AccountReport:
        """Always there."""
        return AccountReport(self.name, self.family, "", reachable=True, key="not needed")
