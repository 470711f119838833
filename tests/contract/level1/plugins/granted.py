import socket

from douane_plugin import Inspector


class Granted(Inspector):
    """A file, read in the constructor, and a connection, asked in `inspect`."""

    reads = "nothing"

    def __init__(self):
        self.rules = self.grant("rules").read().decode()
        assert self.grant("rules") is self.grant("rules")
        try:
            self.grant("absent")
        except LookupError:
            self.log.info("nothing is granted under another name")
        try:
            self.scratch
        except LookupError:
            self.log.info("there is no scratch file")

    def inspect(self, image):
        daemon = self.grant("daemon")
        assert isinstance(daemon, socket.socket)
        daemon.sendall(b"PING\n")
        return {"rules": self.rules, "answer": daemon.recv(100).decode().strip()}
