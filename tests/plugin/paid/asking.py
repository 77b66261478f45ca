"""The least that a provider of a server has to be: what it sends, which answers are proof of what, where the picture is."""

from __future__ import annotations

from qwenbuild.errors import Refused, Uncertain
from qwenbuild.model import Action, Order, Picture, Ticket
from qwenbuild.ports import Gate
from qwenbuild.providers.site import Hosted, answered, compact
from qwenbuild.transport.secret import vendor_words


class Paid(Hosted):
    """A task for each picture."""

    def body(self, order: Order) -> bytes:
        return compact({"prompt": order.action.prompt, "seed": order.action.seed, **dict(order.action.extra)})

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        headers = {"Authorization": f"Bearer {self.site.key.reveal()}"}
        answer = await self.wire.post(f"{self.base_url}/pictures", headers, body, gate, read=self.settings.timeout)
        record = answered(answer)
        if answer.status == 429:
            raise self.throttled(answer)
        if answer.status == 400 and record:
            raise Refused(vendor_words(str(record.get("message"))))
        if answer.status >= 300 or not record.get("id"):
            raise Uncertain("it answered without the task's id")
        return Ticket(self.name, self.base_url, str(record["id"])[:100])

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        self.own(ticket)
        return await self.picture(f"{self.base_url}/pictures/{ticket.task_id}.png", action, accept=("image/png",))
