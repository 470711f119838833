"""The entry point inside the sandbox."""

from __future__ import annotations

import os

from douane_plugin import wire
from douane_plugin._channel import Channel, Closed


def main(channel_fd: int) -> None:
    """Serve the cases of `driver_process.py` until it hangs up. Never returns."""
    channel = Channel(channel_fd)
    try:
        try:
            from .driver import Driver
        except ImportError as error:
            channel.receive_json(wire.LOAD)
            message = f"its interpreter needs the release of douane-plugin that Douane itself has: {error}"
            channel.send_json(wire.FAILED, {"kind": "failed", "is_configuration": True, "message": message})
        else:
            Driver(channel).serve()
    except Closed:
        pass
    os._exit(0)
