"""A program that speaks the wire itself: a plugin's runtime in another language, see docs/wire.md."""

from __future__ import annotations

from douane import sandbox

from .policy import clean
from .python_plugin import PythonMember


class WireProgramMember(PythonMember):
    """The conversation is the same; only who holds its other side is not Python."""

    UNLOADED = "it cannot be used"

    def runtime(self) -> sandbox.Program:
        """The launcher executes it in place of itself, when the cage is closed."""
        return sandbox.Program(self.resolved.argv, speaks=True)

    def last_words(self) -> str:
        """A program that does not run says why on standard error."""
        self.log.close()
        said = clean(self.log.first_line.get("stderr"))
        return f": {said:.300}" if said else ""
