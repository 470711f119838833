"""Plugin processes that wait for an image: loaded, configured and ready before it comes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.launch import Launched, launch
from douane.host.options import Progress, RunOptions, Watch
from douane.plan.model import Plan
from douane.plan.resolve import resolve_plan
from douane.report import Report
from douane.stream.source import Source
from douane.stream.target import Target

from .inspect import DEFAULTS, check_declared
from .outcome import make_report
from .run import Run


class WarmRun:
    """The plugin processes of one run, for one image. Made, used and closed by one thread, with which they end.

    A plugin that reads at random has a temporary file of its own, also beside targets: its sandbox was closed before
    they were there. Raises as :func:`inspect_image` does.
    """

    def __init__(self, plan: Plan, options: RunOptions = DEFAULTS) -> None:
        """`progress` and `watch` come with the image."""
        self._plan = plan
        self._launched: Launched | None = launch(resolve_plan(plan), options.tier, options)

    def is_usable(self) -> bool:
        """False if a plugin has ended or was used before and waited long, or the image has come: make another one."""
        launched = self._launched
        return launched is not None and launched.are_alive() and not launched.has_waited_long()

    def inspect(
        self,
        source: Source,
        image: DeclaredImage,
        *,
        progress: Progress | None = None,
        watch: Watch | None = None,
        targets: Sequence[Target] = (),
    ) -> Report:
        """Let the image of `source` through, and write the result to all `targets`; once. `source` is closed."""
        started = time.monotonic()
        launched, self._launched = self._launched, None
        with contextlib.closing(source):
            if launched is None:
                raise DouaneError("these plugins have had their image")
            with launched:
                check_declared(self._plan, image)
                launched.rings.add_targets(targets)
                with Run(launched, source, image, progress=progress, watch=watch) as run:
                    run.go()
                    return make_report(run, started)

    def close(self) -> None:
        """End the processes. Idempotent."""
        launched, self._launched = self._launched, None
        if launched is not None:
            launched.close()
