"""Any program as a plugin: the image on standard input, the verdict by its exit status."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Any

from douane import sandbox
from douane.stream.ring import Ring
from douane.units import MiB

from .exit_status import how_it_ended
from .plugin_process import Member
from .policy import clean
from .stdin_feeder import Feeder

ACCEPTS, REFUSES = 0, 1


class ProgramMember(Member):
    """See the module."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.feeder: Feeder | None = None
        self._stdin: int | None = None

    def start(self) -> None:
        """Start the program in its cage, with a pipe for its input."""
        read, self._stdin = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, MiB)
        try:
            self.spawn(sandbox.Program(self.resolved.argv), (), stdin=read)
        finally:
            os.close(read)

    def on_caged(self) -> None:
        self.ready = True
        self.host.on_ready(self)

    def show_image(self, ring: Ring) -> None:
        """Feed the program from `ring`."""
        assert self._stdin is not None
        self.run_clock()
        self.feeder = Feeder(
            ring,
            self._stdin,
            lambda _: self.host.loop.call(self._on_fed),
            essential=self.spec.mode != "audit",
        )
        self._stdin = None
        self.feeder.start()

    def _on_fed(self) -> None:
        if self.feeder is not None and self.feeder.overran:
            self.overran()

    def bytes_seen(self) -> int:
        return self.feeder.consumed if self.feeder is not None else 0

    progress = bytes_seen

    def busy(self) -> bool:
        feeder = self.feeder
        return feeder is None or feeder.ended or feeder.consumed < feeder.sent

    def on_closed(self) -> None:
        """The channel closes when the program begins; its exit is what counts."""

    def on_exit(self, code: int) -> None:
        self.log.close()
        reason = clean(self.log.first_line.get("stderr"))
        if not self.ready:
            self.fail("failed", "plugin-died", "could not be started", f"{how_it_ended(code)}; {reason}")
        elif code == ACCEPTS:
            self.finish("accepted", None, None)
        elif code == REFUSES:
            self.finish("refused", "refused", reason or f"the check {self.spec.name!r} refused it, and gave no reason")
        else:
            self.fail("failed", "plugin-died", "failed", f"{how_it_ended(code)}; {reason}".rstrip("; "))

    def end_process(self) -> None:
        super().end_process()
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None
        if self.feeder is not None:
            self.feeder.cancel()
            self.feeder.join()
            self.feeder.close()
