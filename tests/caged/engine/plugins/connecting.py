"""Plugins that make connections to their grants while they work."""

import http.client
import os
import socket
import threading

from douane_plugin import Inspector


class Asks(Inspector):
    """Sends each word over a new connection, when it has read the image."""

    def __init__(self, words: list[str], threads: bool = False):
        self.words = words
        self.threads = threads

    def inspect(self, image):
        for _ in image:
            pass
        answers = {}

        def ask(number, word):
            with self.grant("svc").connect() as connection:
                connection.sendall(word.encode())
                answers[number] = connection.recv(1000).decode()

        if self.threads:
            started = [threading.Thread(target=ask, args=pair) for pair in enumerate(self.words)]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()
        else:
            for number, word in enumerate(self.words):
                ask(number, word)
        return {"answers": " ".join(answers[number] for number in sorted(answers))}


class Http(Inspector):
    """Asks an HTTP server several times, each time over the same connection while it lasts."""

    def inspect(self, image):
        for _ in image:
            pass
        # The server has closed the connection that was made before the first byte.
        waits = self.grant("svc")
        first = waits.recv(1)
        texts = [first.decode()]
        connection = http.client.HTTPConnection("svc")
        for path in ("/a", "/b", "/c"):
            if connection.sock is None:
                connection.sock = self.grant("svc").connect()
            connection.request("GET", path)
            texts.append(connection.getresponse().read().decode())
        return {"answers": "".join(texts)}


class Hoards(Inspector):
    """Opens as many connections as it gets, and then says why there are no more."""

    reads = "nothing"

    def inspect(self, image):
        connections = []
        try:
            while True:
                connections.append(self.grant("svc").connect())
        except OSError as error:
            return {"connections": len(connections), "reason": str(error)}


class Fails(Inspector):
    """Says which error a connection is, and lets it be the plugin's failure."""

    reads = "nothing"

    def inspect(self, image):
        self.grant("gate").sendall(b"ready")
        self.grant("gate").recv(1)
        try:
            self.grant("svc").connect()
        except OSError as error:
            self.log.info("%s: %s", type(error).__name__, error)
            raise


class Hangs(Inspector):
    """Never answers, with a connection open."""

    reads = "nothing"

    def inspect(self, image):
        with self.grant("svc").connect() as connection:
            connection.sendall(b"x")
            connection.recv(1)
            connection.recv(1)


class Processes(Inspector):
    """Several processes ask over the same control socket."""

    reads = "nothing"

    def __init__(self, words: list[str]):
        self.words = words

    def inspect(self, image):
        import multiprocessing

        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe(duplex=False) for _ in self.words]

        def ask(word, pipe):
            with self.grant("svc").connect() as connection:
                connection.sendall(word.encode())
                pipe.send_bytes(connection.recv(100))

        children = [
            context.Process(target=ask, args=(word, pipe)) for word, (_, pipe) in zip(self.words, pipes, strict=True)
        ]
        for child in children:
            child.start()
        answers = [pipe.recv_bytes().decode() for pipe, _ in pipes]
        for child in children:
            child.join()
        return {"answers": " ".join(answers)}


class ByPath(Inspector):
    """Connects to the path of a grant as a library does, and tries others."""

    reads = "nothing"

    def inspect(self, image):
        grant = self.grant("svc")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(grant.socket_path)
            connection.sendall(b"hello")
            answer = connection.recv(100).decode()
        return {"answer": answer, "path": grant.socket_path, "folder": os.path.dirname(grant.socket_path)}


class SendsDescriptors(Inspector):
    """Sends its standard input over each kind of connection, and then bytes by sendmsg, as gRPC does."""

    reads = "nothing"

    def inspect(self, image):
        grant = self.grant("svc")
        by_path = socket.socket(socket.AF_UNIX)
        by_path.connect(grant.socket_path)
        answers = []
        for connection in (grant, grant.connect(), by_path):
            try:
                socket.send_fds(connection, [b"with a descriptor"], [0])
                answers.append(connection.recv(100).decode())
            except OSError:
                answers.append("refused")
            connection.sendmsg([b"bytes"])
            answers.append(connection.recv(100).decode())
        return {"answers": " ".join(answers[1::2])}


class ByAPathThatIsNotThere(Inspector):
    """Asks for the path of a grant that has none."""

    reads = "nothing"

    def inspect(self, image):
        return {"path": self.grant("svc").socket_path}
