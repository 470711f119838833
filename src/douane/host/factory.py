"""From what the operator wrote to the members of a pass: each plugin found, with its cage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from douane import sandbox
from douane.errors import PlanError, SandboxError
from douane.plan.plan import Plan, PluginSpec
from douane.plan.resolve import Resolved, resolve, under
from douane.stream.ring import AUDIT_SLOTS

from .exec_plugin import ProgramMember
from .plugin_process import Host, Member
from .python_plugin import PythonMember
from .wire_plugin import WireProgramMember

OPEN_FILES = 64
"""Files, sockets and pipes that a plugin's process may hold open, besides those of the ring."""


def members_of(plan: Plan, tier: sandbox.Tier, run: Host, learned: Mapping[str, tuple[bool, bool]]) -> list[Member]:
    """The members of `run`, in order, with the format inspectors that follow transforms.

    `learned` is what a first start has told: whether a plugin is a transform, and reads at random. Raises PlanError.
    """
    members: list[Member] = []
    pending: str | None = None  # a transform after which nobody has looked at the format yet
    for spec in plan.plugins:
        member = member_for(spec, tier, run, learned)
        if pending is not None and member.is_transform:
            members.append(_format_after(pending, tier, run, members))
            pending = None
        if member.is_transform:
            pending = spec.name
        elif member.resolved.is_format:
            pending = None
        members.append(member)
    if pending is not None:
        members.append(_format_after(pending, tier, run, members))
    return members


def _format_after(transform: str, tier: sandbox.Tier, run: Host, members: list[Member]) -> Member:
    # What a transform says of its own output is a claim: the format is found again, from the bytes.
    taken = {spec.name for spec in run.plan.plugins} | {member.spec.name for member in members}
    names = (f"format-after-{transform}"[:48], *(f"format-again-{number}" for number in range(len(taken) + 1)))
    return member_for(PluginSpec(name=next(n for n in names if n not in taken), use="format"), tier, run, {})


def member_for(spec: PluginSpec, tier: sandbox.Tier, run: Host, learned: Mapping[str, tuple[bool, bool]]) -> Member:
    """One of them, not started. Raises PlanError."""
    try:
        interpreter = sandbox.interpreter(Path(under(spec.base, spec.python)) if spec.python is not None else None)
    except SandboxError as error:
        raise PlanError(f"plugin {spec.name!r}: {error}") from error
    resolved = resolve(spec, interpreter.sys_path)
    cage = sandbox.Cage(
        tier=tier,
        interpreter=interpreter,
        bounds=sandbox.Bounds(
            memory=spec.memory,
            threads=spec.threads,
            processes=spec.processes,
            open_files=OPEN_FILES + AUDIT_SLOTS,  # a mapping of a slot holds a descriptor of the ring in CPython
            file_bytes=spec.scratch or 0,
        ),
        read=resolved.read,
        programs=_programs(spec, resolved),
        name=spec.name,
    )
    if resolved.is_program:
        return ProgramMember(spec, resolved, cage, run, 0)
    member = (WireProgramMember if resolved.argv else PythonMember)(spec, resolved, cage, run, 0)
    transform, random = learned.get(spec.name, (resolved.transform, resolved.random))
    member.is_transform = transform
    member.reads = "random" if random else "stream"
    if transform:
        _check_transform(spec)
    return member


def _programs(spec: PluginSpec, resolved: Resolved) -> tuple[Path, ...]:
    import shutil

    found = [Path(program) for program in resolved.argv[:1]]
    for program in spec.programs:
        path = shutil.which(program)
        if path is None:
            raise PlanError(f"plugin {spec.name!r}: there is no program {program!r} to grant it; install it")
        found.append(Path(path).absolute())
    return tuple(found)


def _check_transform(spec: PluginSpec) -> None:
    rules = (spec.mode, spec.on_error, spec.on_timeout, spec.on_incomplete)
    if rules != ("enforce", "reject", "reject", "reject"):
        raise PlanError(
            f"plugin {spec.name!r} is a transform: what it makes is the image, so it cannot be left out; "
            "mode is 'enforce' and on_error, on_timeout and on_incomplete are 'reject'"
        )
