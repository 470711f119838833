"""A pass that waits for its image: every plugin is in its cage, configured and ready, before the image comes."""

from __future__ import annotations

import logging
import time

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.log import LogLine
from douane.plan.plan import Plan
from douane.report import Report
from douane.stream.ring import Ring
from douane.stream.source import Source

from .inspect import check_declared, prepare, report_of
from .run import Pass, Progress


class WarmPass:
    """One pass, for one image, made ahead. Made, used and closed by one thread, with which its cages end.

    Without a store: what is kept is written by who has the image. Raises as :func:`inspect_image` does.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        tier: sandbox.Tier,
        emit: LogLine = lambda plugin, level, text: None,
        log_level: int = logging.INFO,
    ) -> None:
        """`progress`, as :func:`inspect_image` takes it, comes with the image."""
        self._plan = plan
        self._tier = tier
        self._later = _Later()
        self._run: Pass | None = prepare(plan, self._later, DeclaredImage(), tier, None, emit, None, log_level)

    def is_usable(self) -> bool:
        """False if a plugin has ended while it waited: make another one."""
        run = self._run
        if run is None:
            return False
        run.listen()
        return all(member.verdict is None for member in run.members)

    def inspect(self, source: Source, declared: DeclaredImage, *, progress: Progress | None = None) -> Report:
        """Let the image of `source` through; once. `source` is closed."""
        run, began = self._run, time.monotonic()
        if run is None:
            raise DouaneError("this pass has had its image")
        self._later.become(source)
        run.watch(progress)
        try:
            check_declared(self._plan, declared)
            run.declared = declared
            run.run()
            return report_of(run, self._tier, began)
        finally:
            self.close()
            source.close()

    def close(self) -> None:
        """End its cages. Idempotent."""
        run, self._run = self._run, None
        if run is not None:
            run.close()


class _Later:
    """Stands for the source that is not there yet."""

    def __init__(self) -> None:
        self.name = "an image to come"
        self.size: int | None = None
        self._inner: Source | None = None

    def become(self, source: Source) -> None:
        """There it is."""
        self._inner, self.name, self.size = source, source.name, source.size

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        assert self._inner is not None
        self._inner.pump(ring)

    def file(self) -> int | None:
        return self._inner.file() if self._inner is not None else None

    def close(self) -> None:
        """Whoever has the inner one closes it."""
