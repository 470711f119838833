"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "clamd"
    use = "plugins/clamd.py:Clamd"
    grants = { clamd = "unix:/run/clamav/clamd.ctl" }
    timeout = "2h"

Shows a grant to a daemon: ``self.grant("clamd")`` is a socket that is connected already, and the only one that the
plugin has. The image is sent as it arrives, with clamd's command INSTREAM (clamd(8)).

What clamd takes is bounded by its own configuration (clamd.conf(5)). Raise StreamMaxLength, MaxScanSize and
MaxFileSize, which are 2 GiB at most, and set AlertExceedsMax and AlertEncrypted, so that it says what it left out. What
is larger, or was left out, is `Incomplete` and never "clean". It finds what stands in the image's own bytes, and
unpacks what it knows; the files of a guest's file system it does not see as files.
"""

from __future__ import annotations

import socket

from douane_plugin import Defer, Image, Incomplete, Inspector, Reject

LONGEST_ANSWER = 4096
PATIENCE = 1.0
"""Seconds after which the plugin says that it still waits. How long it may wait in all is the operator's `timeout`."""

NOT_ALL_SEEN = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
"""What clamd "finds" where it did not look: its own bounds, and what it has no key for."""


class Clamd(Inspector):
    """Refuse what ClamAV finds. What it could not look at as a whole is incomplete."""

    def inspect(self, image: Image) -> None:
        clamd: socket.socket = self.grant("clamd")
        try:
            clamd.sendall(b"zINSTREAM\0")
            for chunk in image:
                clamd.sendall(len(chunk).to_bytes(4, "big"))
                clamd.sendall(chunk)
            clamd.sendall(bytes(4))
        except ConnectionError:
            pass  # it has closed its end, and may have said why
        self._judge(self._answer(clamd))

    def _answer(self, clamd: socket.socket) -> str:
        clamd.settimeout(PATIENCE)
        answer = b""
        while not answer.endswith(b"\0") and len(answer) < LONGEST_ANSWER:
            try:
                part = clamd.recv(LONGEST_ANSWER)
            except TimeoutError:
                self.alive()  # it is clamd that works: no reason to be taken for stalled
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
            if name.startswith(NOT_ALL_SEEN):
                raise Incomplete(
                    "not-all-scanned",
                    f"the virus scanner could not look at all of the image ({name}); upload it without encrypted or"
                    " deeply nested archives, or ask the operator to raise the scanner's limits",
                )
            raise Reject("virus-found", f"the virus scanner found {name} in the image; remove it, and upload it again")
        if "size limit exceeded" in words:
            raise Incomplete(
                "too-large-to-scan",
                "the image is larger than what the virus scanner takes; make it smaller, or ask the operator to raise"
                " the limit",
            )
        if not words:
            raise Defer(60, "the virus scanner ended before it had answered; try again in a minute")
        raise RuntimeError(f"clamd answered {answer!r:.200}")
