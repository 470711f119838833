"""A whole plan with the code of every plugin found: what will run, in order, and in which stage. Starts no plugin."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import msgspec

from douane import sandbox
from douane.errors import PlanError, SandboxError
from douane.sandbox.executables import find_program
from douane.units import GiB

from .builtin import FILES_READER, PACKAGE
from .code import ModuleClass, PluginCode, find_code
from .model import Plan, PluginSpec
from .source_scan import Kind


class ResolvedPlugin(msgspec.Struct, frozen=True):
    """One plugin of a run. `kind` is read from the source without running it, so it may be wrong."""

    spec: PluginSpec
    code: PluginCode
    interpreter: sandbox.Interpreter
    programs: tuple[str, ...]
    kind: Kind
    stage: int = 0
    """The number of its stage: how many transforms precede the plugin."""


class ResolvedPlan(msgspec.Struct, frozen=True):
    """The plugins of a run, in order, with the format inspectors that follow transforms."""

    plan: Plan
    plugins: tuple[ResolvedPlugin, ...]
    complete: bool = True
    """False if no format inspectors were added after transforms."""

    readers: tuple[ResolvedPlugin, ...] = ()
    """The readers of files: one for each stage that has plugins with ``reads = "files"``. They are no plugins of the
    plan, and have no verdict on the image."""

    def with_kinds(self, kinds: Mapping[str, Kind]) -> ResolvedPlan:
        """The same plan, resolved with what a start of the plugins has shown them to be. Raises PlanError."""
        return resolve_plan(self.plan, kinds, complete=self.complete)

    @property
    def stages(self) -> int:
        """The number of stages: one more than there are transforms."""
        return 1 + sum(plugin.kind.is_transform for plugin in self.plugins)


def resolve_plan(plan: Plan, kinds: Mapping[str, Kind] | None = None, *, complete: bool = True) -> ResolvedPlan:
    """Find the code of all plugins of `plan`. Raises PlanError.

    `kinds` are the kinds that an earlier start has established, by plugin name. `complete` adds the format inspectors
    that follow transforms.
    """
    plugins: list[ResolvedPlugin] = []
    unexamined: PluginSpec | None = None  # the transform whose output no format inspector has seen yet
    for spec in plan.plugins:
        if spec.use == FILES_READER:
            raise PlanError(
                f'plugin {spec.name!r}: {spec.use} is started by Douane for plugins with reads = "files", and its '
                "output is no image; remove it from the plan"
            )
        plugin = resolve_plugin(spec, (kinds or {}).get(spec.name))
        if complete and unexamined is not None and plugin.kind.is_transform:
            plugins.append(_format_after(unexamined, plan, plugins))
        if plugin.kind.is_transform:
            unexamined = spec
        elif plugin.code.is_format:
            unexamined = None
        plugins.append(plugin)
    if complete and unexamined is not None:
        plugins.append(_format_after(unexamined, plan, plugins))
    placed = _in_stages(plugins)
    return ResolvedPlan(plan, placed, complete, _readers(plan, placed))


def _readers(plan: Plan, plugins: tuple[ResolvedPlugin, ...]) -> tuple[ResolvedPlugin, ...]:
    """A reader of files for each stage with plugins that need one."""
    used = {plugin.spec.name for plugin in plugins}
    bounds = plan.guest
    readers = []
    for stage in sorted({plugin.stage for plugin in plugins if plugin.kind.reads_guest_files}):
        names = (f"guest-files-{number}" if number else "guest-files" for number in range(len(used) + 1))
        name = next(name for name in names if name not in used)
        used.add(name)
        spec = PluginSpec(
            name=name,
            use=FILES_READER,
            config={"entries": bounds.entries, "depth": bounds.depth, "delivered": bounds.delivered},
            memory=bounds.memory,
            stall=bounds.stall,
            timeout=bounds.timeout,
            max_output=2 * bounds.delivered + GiB,  # with names and digests; the reader itself counts exactly
            max_ratio=math.inf,  # it bounds its output by the size of the disk
        )
        kind = Kind(is_transform=True, reads_file=True)
        readers.append(msgspec.structs.replace(resolve_plugin(spec, kind), stage=stage))
    return tuple(readers)


def _in_stages(plugins: list[ResolvedPlugin]) -> tuple[ResolvedPlugin, ...]:
    stage = 0
    placed = []
    for plugin in plugins:
        placed.append(msgspec.structs.replace(plugin, stage=stage))
        stage += plugin.kind.is_transform
    return tuple(placed)


def _format_after(transform: PluginSpec, plan: Plan, plugins: list[ResolvedPlugin]) -> ResolvedPlugin:
    # What a transform says of its own output is a claim: the format is determined again, from the bytes.
    used = {spec.name for spec in plan.plugins} | {plugin.spec.name for plugin in plugins}
    names = (f"format-after-{transform.name}"[:48], *(f"format-again-{number}" for number in range(len(used) + 1)))
    name = next(name for name in names if name not in used)
    return resolve_plugin(PluginSpec(name=name, use="format", stores=transform.stores))


def resolve_plugin(spec: PluginSpec, kind: Kind | None = None) -> ResolvedPlugin:
    """Find the code of one plugin; `kind` replaces what its source suggests. Raises PlanError."""
    try:
        interpreter = sandbox.interpreter(spec.path(spec.python) if spec.python is not None else None)
    except SandboxError as error:
        raise PlanError(f"plugin {spec.name!r}: {error}") from error
    code = find_code(spec, interpreter.sys_path)
    if spec.reuse > 1:
        _check_reuse(spec, code)
    programs = _programs(spec, code)
    if kind is None or code.is_exec:
        kind = code.kind
    if kind.is_transform:
        _check_transform(spec)
    return ResolvedPlugin(spec, code, interpreter, programs, kind)


def _programs(spec: PluginSpec, code: PluginCode) -> tuple[str, ...]:
    paths = list(code.argv[:1])
    for program in spec.programs:
        path = find_program(program)
        if path is None:
            remedy = (
                "the plugin cannot work without it; install it"
                if "programs" in spec.own_defaults
                else "install it or remove it from 'programs'"
            )
            raise PlanError(f"plugin {spec.name!r}: program {program!r} was not found on PATH; {remedy}")
        paths.append(os.path.abspath(path))
    return tuple(paths)


def _check_reuse(spec: PluginSpec, code: PluginCode) -> None:
    if code.is_exec:
        reason = "a program that reads its standard input ends with the image"
    elif isinstance(code.target, ModuleClass) and code.target.module.startswith(f"{PACKAGE}."):
        reason = "built-in plugins load nothing that takes long"
    elif spec.socket_paths:
        reason = "the paths in 'socket_paths' are answered for the image that the process was started with"
    else:
        return
    raise PlanError(f"plugin {spec.name!r}: 'reuse' must be 1: {reason}")


def _check_transform(spec: PluginSpec) -> None:
    rules = (spec.mode, spec.on_error, spec.on_timeout, spec.on_incomplete)
    if rules != ("enforce", "reject", "reject", "reject"):
        raise PlanError(
            f"plugin {spec.name!r} is a transform: its output is the image, so it cannot be left out; "
            "mode is 'enforce' and on_error, on_timeout and on_incomplete are 'reject'"
        )
