"""The application under its real server, without workers: imports stay as they are. Prints its port when it listens.

``python page_server.py HOME [CONFIG]``
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from douane.api.app import make_app
from douane.api.assembly import make_service
from douane.api.process.door import DoorServer
from douane.imports.settings import load_settings


async def serve(home: Path, config: str | None) -> None:
    no_plan: Any = None
    service = make_service(home, load_settings(config, home), no_plan)
    listener = socket.create_server(("127.0.0.1", 0))
    server = DoorServer(make_app(service), listener)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    print(listener.getsockname()[1], flush=True)
    await server.serve()
    service.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
