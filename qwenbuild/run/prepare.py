"""Hand reference images over before a request points at them: free, and repeated when it fails.

Knows no journal: nothing has been ordered yet.
"""

from __future__ import annotations

from qwenbuild.errors import AccountStop, ProviderError, Refused
from qwenbuild.model import Order, Outcome
from qwenbuild.run.submit import Job, failed
from qwenbuild.run.world import Stopped

TRIES = 4
"""How often an image is handed over, with pauses of 1, 2 and 4 seconds."""


async def prepared(job: Job, order: Order) -> Order | Outcome:
    """The order with its images where the API can fetch them, or how it failed. Raises Stopped."""
    for tries in range(TRIES):
        try:
            return await job.provider.prepare(order) if order.inputs else order
        except AccountStop as error:
            job.progress.stop_lane(job.provider.account, job.purchase.action.model, error.kind, error.message)
            raise Stopped((error.kind, error.message)) from error
        except ProviderError as error:
            words = f"its reference image could not be uploaded: {error.message}"
            if isinstance(error, Refused):
                break
            await job.pause(2.0**tries, "before uploading a reference image again")
    return failed(job.progress, job.purchase, "upload", words)
