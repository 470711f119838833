"""Starting the plugin processes of a plan, each in its sandbox, and waiting until they are ready for an image."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from douane import sandbox
from douane.errors import GrantReplaced, PlanError, SandboxError
from douane.plan.bound_plugins import check_bindings
from douane.plan.resolve import ResolvedPlan, ResolvedPlugin
from douane.plan.source_scan import Kind, kind_of
from douane.stream.ring import AUDIT_SLOTS, SLOTS
from douane.stream.rings import Rings
from douane.stream.target import Target

from .base import PluginProcess, Supplies
from .events import Event
from .exec_plugin import ExecPlugin
from .limits import bounds_of
from .log import Emitter, LogLine
from .loop import Loop
from .options import RunOptions
from .policy import AUDIT_SECONDS, weigh
from .pool import IDLE_SECONDS
from .python_plugin import FilesReader, PythonPlugin, WirePlugin
from .reusable_plugin import ReusablePlugin, ReusableWirePlugin

OPEN_FILES = 64
"""Files, sockets and pipes that a plugin's process may hold open, besides those of the ring."""

_ATTEMPTS = 4
"""Starts of all plugins: a kind that the source does not show takes a second one, and so does a granted file that is
replaced meanwhile."""

Until = Literal["ready", "configured", "described"]
"""When a start is over. Plugins that read files are "configured" when they have taken their settings: their
constructors, which may compile rules, go on while the image arrives."""

_WORKING: set[sandbox.Tier] = set()
"""Tiers in which plugins of this process have started."""


def launch(
    resolved: ResolvedPlan,
    tier: sandbox.Tier | None,
    options: RunOptions,
    targets: Sequence[Target] = (),
    *,
    until: Until = "ready",
    stores_received: bool = True,
) -> Launched:
    """Start all plugins of `resolved` and wait until they are ready, configured, or have only described themselves.

    A `tier` of None is the best that this host supports, not below the plan's minimum. It is not tried beforehand: if
    the expected tier fails, each layer is tried, and the plugins are started in the tier that works. A tier in which
    plugins of this process have started is supported: if it fails later, the host is short of something.

    If a class turns out to be of another kind than its source shows, all are started once more, with the right
    descriptors. A failure that decides the image ends the wait early. Raises PlanError, SandboxError, SinkError.
    """
    try:
        if tier is not None:
            return _launch(resolved, tier, options, targets, until, stores_received)
        return _launch_in_best(resolved, options, targets, until, stores_received)
    except OSError as error:
        raise SandboxError(f"the plugins could not be started: {sandbox.explain(error) or error}") from error


def _launch_in_best(
    resolved: ResolvedPlan, options: RunOptions, targets: Sequence[Target], until: Until, stores_received: bool
) -> Launched:
    minimum = sandbox.Tier(resolved.plan.minimum_sandbox)
    expected = sandbox.expect(minimum)
    try:
        return _launch(resolved, expected, options, targets, until, stores_received)
    except SandboxError:
        if expected in _WORKING or (supported := sandbox.choose(None, minimum)) is expected:
            raise
    return _launch(resolved, supported, options, targets, until, stores_received)


def _launch(
    resolved: ResolvedPlan,
    tier: sandbox.Tier,
    options: RunOptions,
    targets: Sequence[Target],
    until: Until,
    stores_received: bool,
) -> Launched:
    replaced: GrantReplaced | None = None
    for _ in range(_ATTEMPTS):
        launched = Launched(resolved, tier, options, targets, stores_received=stores_received)
        try:
            launched.start(until)
            if until == "described" or not launched.is_misjudged():
                launched.check_bindings()
                launched.check_reuse()
                _WORKING.add(tier)
                return launched
            resolved = resolved.with_kinds(launched.kinds())
        except GrantReplaced as error:
            replaced = error
        except BaseException:
            launched.close()
            raise
        launched.close()
    if replaced is not None:
        raise replaced
    raise PlanError("a plugin describes itself differently each time it is loaded; its class must be the same")


class Launched:
    """The plugin processes of one run, with the loop and the rings that they use. Closed by the thread that made it."""

    def __init__(
        self,
        resolved: ResolvedPlan,
        tier: sandbox.Tier,
        options: RunOptions,
        targets: Sequence[Target],
        *,
        stores_received: bool,
    ) -> None:
        self.plan = resolved.plan
        self.tier = tier
        self.loop = Loop()
        self.temporary_bytes = 0
        """The most that temporary files have taken on the disk at one time: spools, and scratch files."""

        self._emitter = Emitter(options.emit)
        self._log_level = options.log_level
        self._pool = options.pool
        self._launched_at = time.monotonic()
        self._elapsed = 0.0
        self._others_ready = 0.0
        self._until: Until = "ready"
        self._closed = False
        audited = any(plugin.spec.mode == "audit" for plugin in resolved.plugins)
        slots = AUDIT_SLOTS if audited else SLOTS
        try:
            self.rings = Rings(
                resolved.stages,
                slots,
                targets,
                stores_received=stores_received,
                with_files=[reader.stage for reader in resolved.readers],
                cached={plugin.stage for plugin in resolved.plugins if plugin.kind.reads_at_random},
                in_place=options.in_place,
            )
        except BaseException:
            self.loop.close()
            raise
        self.plugins = [make_process(plugin, tier, self.loop, self._emitter) for plugin in resolved.plugins]
        self.readers = [make_process(reader, tier, self.loop, self._emitter) for reader in resolved.readers]
        """Of files, for the plugins of their stages. They have no say about the image."""

    @property
    def processes(self) -> list[PluginProcess]:
        """All of them."""
        return [*self.plugins, *self.readers]

    def start(self, until: Until) -> None:
        """Start all processes and wait. Raises PlanError for a plugin that cannot be used, unless it was described."""
        for plugin in self.processes:
            stage = plugin.plugin.stage
            open_file = self.rings.open_for_reader if plugin in self.readers else self.rings.open_file
            pool = self._pool if plugin.spec.reuse > 1 else None
            rings = [self.rings.files[stage]] if plugin.needs == "files" else self.rings.rings[: stage + 1]
            plugin.start(Supplies(rings, functools.partial(open_file, stage), self._log_level, pool, self.plan))
        self._until = until
        self.loop.run(_ignore, self._are_described if until == "described" else self._are_ready, self._tick)
        for plugin in self.processes:
            if plugin.error is not None and not (until == "described" and plugin.described):
                raise plugin.error

    def _are_ready(self) -> bool:
        """Auditors get a moment more than the others; those that are slower come later, if they still can."""
        late = [plugin for plugin in self.processes if not self._has_come(plugin) and plugin.verdict is None]
        if any(plugin.spec.mode != "audit" for plugin in late):
            self._others_ready = self._elapsed
        return self._is_decided() or not late or self._elapsed - self._others_ready > AUDIT_SECONDS

    def _has_come(self, plugin: PluginProcess) -> bool:
        return plugin.ready or (self._until == "configured" and plugin.has_settings)

    def _are_described(self) -> bool:
        return self._are_ready() or all(plugin.described or plugin.verdict for plugin in self.plugins)

    def _is_decided(self) -> bool:
        return any(
            plugin.verdict is not None
            and weigh(plugin.spec, plugin.verdict, is_transform=plugin.is_transform) != "accepted"
            for plugin in self.plugins
        )

    def _tick(self, seconds: float) -> None:
        self._elapsed += seconds
        self.measure_disk()
        for plugin in self.processes:
            plugin.tick(seconds, produced=0, blocked=False)

    def is_misjudged(self) -> bool:
        """True if a plugin is of another kind than it was started as, so that it lacks descriptors."""
        return any(plugin.misjudged for plugin in self.plugins)

    def check_bindings(self) -> None:
        """Raise PlanError for a plugin that may not be bound as it is; see :mod:`douane.plan.binding`."""
        check_bindings([(plugin.spec, plugin.is_transform) for plugin in self.plugins])

    def check_reuse(self) -> None:
        """Raise PlanError for a plugin whose process cannot serve several images."""
        for plugin in self.plugins:
            if plugin.spec.reuse == 1:
                continue
            if plugin.is_transform:
                reason = "its output is the image, which no other image may influence"
            elif plugin.needs == "file":
                reason = "it reads at random, and its sandbox cannot be opened for the file of another image"
            else:
                continue
            raise PlanError(f"plugin {plugin.spec.name!r}: 'reuse' must be 1: {reason}")

    def kinds(self) -> dict[str, Kind]:
        """The kinds that the plugins have shown, by name."""
        return {plugin.spec.name: kind_of(plugin.is_transform, plugin.reads) for plugin in self.plugins}

    def are_alive(self) -> bool:
        """False if a plugin has ended, or failed, while it waited for an image, or if a granted file was replaced."""
        self.loop.poll(_ignore)
        return all(plugin.verdict is None and plugin.has_current_grants() for plugin in self.processes)

    def has_waited_long(self) -> bool:
        """True if a process that has served images before has waited too long for this one."""
        waited = time.monotonic() - self._launched_at
        return waited > IDLE_SECONDS and any(plugin.earlier_images for plugin in self.plugins)

    def measure_disk(self) -> None:
        """Note how much temporary files take now."""
        used = sum(plugin.scratch_used() for plugin in self.processes) + self.rings.spooled()
        self.temporary_bytes = max(self.temporary_bytes, used)

    def end(self) -> None:
        """Kill all processes; their output can still be read. Idempotent."""
        for plugin in self.processes:
            if plugin.verdict is None:
                plugin.stop()
            plugin.end()

    def close(self) -> None:
        """End all that runs and give everything back, when no thread uses the rings. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.rings.stop()
        self.end()
        for plugin in self.processes:
            plugin.close()
        self.rings.close()
        self.loop.close()
        self._emitter.close()

    def __enter__(self) -> Launched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ignore(event: Event) -> None:
    """Before the image, the state of the processes says everything that their events say."""


def make_process(plugin: ResolvedPlugin, tier: sandbox.Tier, loop: Loop, emit: LogLine) -> PluginProcess:
    """The process of one plugin, not started."""
    spec = plugin.spec
    sandbox_spec = sandbox.SandboxSpec(
        tier=tier,
        interpreter=plugin.interpreter,
        # A mapping of a slot holds a descriptor of the ring in CPython.
        bounds=bounds_of(spec, memory=spec.memory, open_files=OPEN_FILES + AUDIT_SLOTS),
        read=plugin.code.read,
        programs=plugin.programs,
        forks=spec.forks,
        messages=spec.may_send_messages(bool(plugin.programs)),
        name=spec.name,
    )
    if plugin.code.is_files_reader:
        return FilesReader(plugin, sandbox_spec, loop, emit)
    if plugin.code.is_exec:
        return ExecPlugin(plugin, sandbox_spec, loop, emit)
    if plugin.code.argv:
        return (ReusableWirePlugin if spec.reuse > 1 else WirePlugin)(plugin, sandbox_spec, loop, emit)
    return (ReusablePlugin if spec.reuse > 1 else PythonPlugin)(plugin, sandbox_spec, loop, emit)
