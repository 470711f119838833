"""Passes connections to a Unix socket on to several servers in turn, as a proxy in front of a cluster does.

python spread_connections.py LISTEN SOCKET...
"""

from __future__ import annotations

import asyncio
import itertools
import sys


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(listen: str, sockets: list[str]) -> None:
    turns = itertools.cycle(sockets)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(next(turns))
        except OSError:
            writer.close()  # the node is away: the client's next connection goes to another one
            return
        await asyncio.gather(_pass_on(reader, server_writer), _pass_on(server_reader, writer))

    server = await asyncio.start_unix_server(connected, listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
