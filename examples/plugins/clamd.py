"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "clamd"
    use = "plugins/clamd.py:Clamd"
    grants = { clamd = "unix:/run/clamav/clamd.ctl" }
    timeout = "2h"

Shows a granted socket: ``self.grant("clamd")`` is connected to the daemon, and the only socket that the plugin has. The
plugin sends the image while it arrives, with clamd's command INSTREAM (clamd(8)).

clamd.conf(5) limits what clamd scans. Raise StreamMaxLength, MaxScanSize and MaxFileSize, whose maximum is 2 GiB, and
set AlertExceedsMax and AlertEncrypted, so that clamd reports what it has skipped. An image that is too large, or partly
skipped, is `Incomplete` and never "clean". clamd scans the image's own bytes, and unpacks archives that it knows; it
does not see the files in a guest's file system.
"""

from __future__ import annotations

import socket

from douane_plugin import Defer, Image, Incomplete, Inspector, Reject

MAX_ANSWER = 4096
WAIT_SECONDS = 1.0
"""Seconds between two signs of life while the plugin waits. The operator's `timeout` limits the total."""

SKIPPED = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
"""Names that clamd "finds" in data that it has not scanned: beyond its limits, or encrypted."""


class Clamd(Inspector):
    """Refuse images in which ClamAV finds a virus. An image that it could not scan as a whole is incomplete."""

    def inspect(self, image: Image) -> None:
        clamd: socket.socket = self.grant("clamd")
        try:
            clamd.sendall(b"zINSTREAM\0")
            for chunk in image:
                clamd.sendall(len(chunk).to_bytes(4, "big"))
                clamd.sendall(chunk)
            clamd.sendall(bytes(4))
        except ConnectionError:
            pass  # clamd has closed its end, and may have said why
        self._judge(self._answer(clamd))

    def _answer(self, clamd: socket.socket) -> str:
        clamd.settimeout(WAIT_SECONDS)
        answer = b""
        while not answer.endswith(b"\0") and len(answer) < MAX_ANSWER:
            try:
                part = clamd.recv(MAX_ANSWER)
            except TimeoutError:
                self.alive()  # clamd works, so the plugin has not stalled
                continue
            except ConnectionError:
                break
            if not part:
                break
            answer += part
        return answer.rstrip(b"\0\n").decode("utf-8", "replace")

    def _judge(self, answer: str) -> None:
        self.log.info("clamd: %s", answer or "no answer")
        words = answer.removeprefix("stream: ")
        if words == "OK":
            return
        if words.endswith(" FOUND"):
            name = words.removesuffix(" FOUND")
            if name.startswith(SKIPPED):
                raise Incomplete(
                    "not-all-scanned",
                    f"the virus scanner could not scan all of the image ({name}); upload it without encrypted or"
                    " deeply nested archives, or ask the operator to raise the scanner's limits",
                )
            raise Reject("virus-found", f"the virus scanner found {name} in the image; remove it, and upload it again")
        if "size limit exceeded" in words:
            raise Incomplete(
                "too-large-to-scan",
                "the image is too large for the virus scanner; make it smaller, or ask the operator to raise the limit",
            )
        if not words:
            raise Defer(60, "the virus scanner ended without an answer; try again in a minute")
        raise RuntimeError(f"clamd answered {answer!r:.200}")
