import os
import socket

from douane_plugin import Inspector


class GrantedConnections(Inspector):
    """The first connection of a grant, further ones, and those that a library makes at a path."""

    reads = "nothing"

    def inspect(self, image):
        daemon = self.grant("daemon")
        assert isinstance(daemon, socket.socket)
        answers = [_ask(daemon)]
        for _ in range(2):
            with daemon.connect() as connection:
                assert isinstance(connection, socket.socket) and connection.gettimeout() is None
                answers.append(_ask(connection))
        assert os.path.dirname(daemon.socket_path) == daemon.socket_folder
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(daemon.socket_path)
            answers.append(_ask(connection))
        try:
            self.grant("plain").socket_path
        except LookupError:
            self.log.info("this grant has no path")
        return {"answers": " ".join(answers)}


def _ask(connection):
    connection.sendall(b"PING\n")
    return connection.recv(100).decode().strip()
