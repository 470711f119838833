"""Waits in the middle of an image."""

from douane_plugin import Inspector


class Gate(Inspector):
    def inspect(self, image):
        next(image)
        gate = self.grant("gate")
        gate.sendall(b"here\n")
        if gate.recv(5) != b"go on":
            raise RuntimeError("the gate was closed")
        for _ in image:
            pass
