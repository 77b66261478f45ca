"""The emulator's own tests take their fixtures from the plugin, whatever the top conftest says."""

from __future__ import annotations

from plugin_emulator import _emulator_server, emulated, emulator, strict_emulator

__all__ = ["_emulator_server", "emulated", "emulator", "strict_emulator"]
