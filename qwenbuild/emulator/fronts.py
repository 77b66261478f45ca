"""All APIs of the emulator, in the order in which a path is matched.

Knows nothing of what they do.
"""

from __future__ import annotations

from qwenbuild.emulator.apiframe import ApiframeFront
from qwenbuild.emulator.dashscope import DashScopeFront
from qwenbuild.emulator.qwen2512 import Qwen2512Front
from qwenbuild.emulator.selfhosted import SelfHosted
from qwenbuild.emulator.storage import Storage, Trap
from qwenbuild.emulator.webhooks import Webhooks
from qwenbuild.emulator.world import EmulatorCore, Front


def all_fronts(world: EmulatorCore) -> list[Front]:
    """Every API, region by region, and the storage; whoever tells webhooks is told of accepted jobs."""
    apiframe, qwen2512 = ApiframeFront(world), Qwen2512Front(world)
    world.on_accept = Webhooks(world, [apiframe, qwen2512]).accepted
    regions: list[Front] = [DashScopeFront(world, "singapore"), DashScopeFront(world, "beijing")]
    return [*regions, apiframe, qwen2512, SelfHosted(world), Storage(world), Trap(world)]
