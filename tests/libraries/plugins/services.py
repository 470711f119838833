"""Plugins that each ask a service by a library that makes its own connections, at the path of a granted socket."""

import asyncio

from douane_plugin import Inspector


class Psycopg(Inspector):
    """SQL over PostgreSQL's protocol, with and without asyncio, after all bytes of the image."""

    def inspect(self, image):
        import psycopg

        size = sum(map(len, image))
        where = {"host": self.grant("service").socket_folder, "dbname": "postgres", "user": "tests"}
        answers = []
        for number in range(2):
            with psycopg.connect(**where) as connection:
                answers.append(connection.execute("select %s + %s", (size, number)).fetchone()[0])

        async def ask():
            async with await psycopg.AsyncConnection.connect(**where) as connection:
                return (await (await connection.execute("select %s + 2", (size,))).fetchone())[0]

        return {"answers": " ".join(map(str, [*answers, asyncio.run(ask())]))}


class Httpx(Inspector):
    """HTTP requests to a server that closes each connection, with and without asyncio."""

    def inspect(self, image):
        import httpx

        size = sum(map(len, image))
        path = self.grant("service").socket_path
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            answers = [client.get(f"http://service/{size + number}").text for number in range(2)]

        async def ask():
            async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path)) as client:
                return (await client.get(f"http://service/{size + 2}")).text

        return {"answers": " ".join([*answers, asyncio.run(ask())])}


class Grpc(Inspector):
    """Remote calls over HTTP/2."""

    def inspect(self, image):
        import grpc

        size = sum(map(len, image))
        with grpc.insecure_channel("unix:" + self.grant("service").socket_path) as channel:
            call = channel.unary_unary("/tests.Echo/Echo")
            answers = [call(str(size + number).encode(), timeout=60, wait_for_ready=True) for number in range(3)]
        return {"answers": b" ".join(answers).decode()}


class Redis(Inspector):
    """A key-value store."""

    def inspect(self, image):
        import redis

        size = sum(map(len, image))
        with redis.Redis(unix_socket_path=self.grant("service").socket_path) as client:
            client.set("size", size)
            answers = [int(client.get("size")), *(client.incr("size") for _ in range(2))]
        return {"answers": " ".join(map(str, answers))}
