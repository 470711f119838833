"""Any program as a plugin: the image on standard input, the verdict by its exit status."""

from __future__ import annotations

import os

from douane import sandbox
from douane.errors import PlanError
from douane.plan.resolve import ResolvedPlugin
from douane.stream.ring import Ring

from .advice import not_advice, with_advice
from .base import Supplies
from .events import PluginReady
from .failure import describe_exit
from .handover import opened_grants
from .log import LogLine
from .loop import Loop
from .messages import ImageFacts
from .pipes import open_large_pipe
from .plugin_process import SandboxedPlugin
from .policy import clean
from .stdin_feeder import StdinFeeder

ACCEPTS = 0
REFUSES = (1,)
"""If the plan does not say which exit statuses refuse. Programs that fail exit with 1 as well."""


class ExecPlugin(SandboxedPlugin):
    """See :class:`.base.PluginProcess`. Its needs are always the bytes."""

    misjudged = False
    error: PlanError | None = None

    def __init__(self, plugin: ResolvedPlugin, sandbox_spec: sandbox.SandboxSpec, loop: Loop, emit: LogLine) -> None:
        super().__init__(plugin, sandbox_spec, loop, emit)
        self._feeder: StdinFeeder | None = None
        self._stdin: int | None = None

    def start(self, supplies: Supplies) -> None:
        """See PluginProcess."""
        read, self._stdin = open_large_pipe()
        try:
            with opened_grants(self.spec, None) as grants:
                self._spawn(sandbox.Program(self.plugin.code.argv), stdin=read, grants=grants)
        finally:
            os.close(read)

    def _on_sandboxed(self) -> None:
        self.ready = True
        self._loop.post(PluginReady(self.spec.name, self.needs))

    def send_image(self, facts: ImageFacts, ring: Ring | None) -> None:
        """See PluginProcess. A program is not told the facts."""
        if ring is None or self._stdin is None:
            return
        self._start_image()
        self._feeder = StdinFeeder(
            ring,
            self._stdin,
            essential=self.spec.mode != "audit",
            overran=self._post_overrun,
        )
        self._stdin = None
        self._attach(self._feeder.start)

    def _position(self) -> int:
        return self._feeder.consumed if self._feeder is not None else 0

    def _is_busy(self) -> bool:
        feeder = self._feeder
        return feeder is None or feeder.ended or feeder.consumed < feeder.sent

    def _on_closed(self) -> None:
        """The channel closes when the program begins; its exit is what counts."""

    def _on_exit(self, code: int) -> None:
        self._log.close()
        reason = clean(self._log.first_line.get("stderr"))
        if not self.ready:
            self.fail(
                "failed",
                "plugin-died",
                "could not be started",
                f"{describe_exit(code)}; {not_advice(self._log.reason())}",
            )
        elif code == ACCEPTS:
            self._finish("accepted", None, None)
        elif code in (self.spec.refuse or REFUSES):
            message = reason or f"the check {self.spec.name!r} refused it, and gave no reason"
            # A program that fails exits with 1, too. That the sandbox is the reason is not for the tenant.
            advice = self._advice_on_output() if self.spec.refuse is None else ""
            self._finish("refused", "refused", message, detail=advice or None)
        else:
            detail = with_advice(self._log.reason(), self._advice_on_output(), begin=describe_exit(code))
            self.fail("failed", "plugin-died", "failed", detail)

    def end(self) -> None:
        """See PluginProcess."""
        super().end()
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def release(self) -> None:
        """See PluginProcess."""
        super().release()
        if self._feeder is not None:
            self._feeder.cancel()
            self._feeder.join()
            self._feeder.close()
