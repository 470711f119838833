"""Read a ``[[plugin]]`` table of a plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from douane.errors import PlanError
from douane.units import MiB, parse_duration, parse_size

from .binding import DOORS, Door
from .builtin import needs_of
from .model import Mode, OnFailure, PluginSpec
from .wrong_value import wrong_value

T = TypeVar("T")

MAX_COUNT = 1_000_000
"""Limit of counts in the configuration: more is a mistyped number."""
MIN_MEMORY = 32 * MiB
MAX_REUSE = 100
"""A load that is shared by 100 images costs each of them one percent of itself. A process may keep the rings of all its
images (16 MiB each), which its own memory does not count."""

_MAX_STATUS = 125

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}", re.ASCII)
_SOCKET_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,47}", re.ASCII)
_PATTERN = re.compile(r"[a-zA-Z0-9_.:-]{1,255}\*?|\*", re.ASCII)


class PluginTable(msgspec.Struct, forbid_unknown_fields=True):
    """A ``[[plugin]]`` as it is written: None where a default applies."""

    name: str
    use: str
    mode: Mode = "enforce"
    on_error: OnFailure | None = None
    on_timeout: OnFailure | None = None
    on_incomplete: OnFailure | None = None
    start: str | float | None = None
    stall: str | float | None = None
    timeout: str | float | None = None
    memory: str | int | None = None
    threads: int | None = None
    processes: int | None = None
    python: str | None = None
    programs: list[str] | None = None
    modules: list[str] = []
    refuse: list[int] | None = None
    config: dict[str, Any] = {}
    grants: dict[str, str] = {}
    socket_paths: list[str] = []
    connect_as: str | None = None
    max_output: str | int | None = None
    max_ratio: float | None = None
    may_set: list[str] = []
    scratch: str | int | None = None
    reuse: int | None = None
    only: str | list[str] | None = None
    exempt_roles: list[str] = []
    stores: list[str] | None = None


def refuse_unknown(table: Mapping[str, Any], keys: Iterable[str], where: str, prefix: str) -> None:
    """Raise PlanError for a key of `table` that is not one of `keys`."""
    for key in table:
        if key not in keys:
            import difflib

            near = difflib.get_close_matches(key, list(keys), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(keys)}"
            raise PlanError(f"{where}: {prefix}{key!r} is not a setting; {hint}")


def read_plugin(entry: Any, number: int, where: str, base: str) -> PluginSpec:
    """The plugin of the table `entry`, the `number`-th of the document `where`. Raises PlanError."""
    if not isinstance(entry, dict):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    name = entry.get("name")
    subject = f"plugin {name!r}" if isinstance(name, str) else f"plugin number {number}"
    refuse_unknown(entry, PluginTable.__struct_fields__, where, f"{subject}: ")
    for key in ("name", "use"):
        if key not in entry:
            raise PlanError(f"{where}: {subject} has no {key!r}")
    try:
        raw = msgspec.convert(entry, PluginTable)
    except msgspec.ValidationError as error:
        key, words = wrong_value(error, PluginTable)
        raise PlanError(f"{where}: {subject}: {key!r} is wrong: {words}") from error
    paths = (raw.use, raw.python or "", *(raw.programs or ()), *raw.modules, *raw.grants.values())
    if any("\0" in text for text in paths):
        raise PlanError(f"{where}: {subject}: a path or command holds a NUL character")
    if not PLUGIN_NAME.fullmatch(raw.name):
        raise PlanError(
            f"{where}: {subject}: a name begins with a letter and has at most 48 of a-z 0-9 _ - (the names of its "
            "properties begin with it)"
        )
    return _complete(raw, f"{where}: {subject}", base)


def _complete(raw: PluginTable, subject: str, base: str) -> PluginSpec:
    needs = {key: value for key, value in needs_of(raw.use, raw.grants).items() if getattr(raw, key) is None}
    settings: dict[str, Any] = {**_policy(raw, subject), **_quantities(raw, subject), **needs}
    if raw.programs is not None:
        settings["programs"] = tuple(raw.programs)
    if raw.config:
        import json

        try:
            json.dumps(raw.config, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PlanError(f"{subject}: 'config' holds a value that a plugin cannot receive: {error}") from error
    for pattern in raw.may_set:
        if not _PATTERN.fullmatch(pattern):
            raise PlanError(
                f"{subject}: 'may_set' lists names of properties, with * for any number of characters at the end "
                f"(hw_*), not {pattern!r:.60}"
            )
    if raw.connect_as is not None and not any(target.startswith("unix:") for target in raw.grants.values()):
        raise PlanError(f"{subject}: 'connect_as' is for grants of the form unix:PATH, and there is none")
    _check_socket_paths(raw, subject)
    return PluginSpec(
        name=raw.name,
        use=raw.use,
        mode=raw.mode,
        python=raw.python,
        modules=tuple(dict.fromkeys(raw.modules)),
        may_set=tuple(raw.may_set),
        config=raw.config,
        grants=raw.grants,
        socket_paths=tuple(dict.fromkeys(raw.socket_paths)),
        connect_as=raw.connect_as,
        only=_doors(raw, subject),
        exempt_roles=tuple(raw.exempt_roles),
        stores=_stores(raw, subject),
        refuse=_statuses(raw, subject),
        own_defaults=tuple(needs),
        forks=raw.processes is not None,
        base=base,
        **settings,
    )


def _check_socket_paths(raw: PluginTable, subject: str) -> None:
    for name in raw.socket_paths:
        target = raw.grants.get(name)
        if target is None:
            raise PlanError(f"{subject}: 'socket_paths' lists names of grants, and there is no grant {name!r:.60}")
        if not target.startswith(("unix:", "tcp:")):
            raise PlanError(f"{subject}: 'socket_paths' is for grants of the form unix:PATH or tcp:HOST:PORT")
        if not _SOCKET_NAME.fullmatch(name):
            raise PlanError(
                f"{subject}: the name of a grant in 'socket_paths' is a part of a path, and has at most 48 of "
                f"a-z A-Z 0-9 _ . - and no dot at its beginning, not {name!r:.60}"
            )


def _doors(raw: PluginTable, subject: str) -> tuple[Door, ...]:
    listed = [raw.only] if isinstance(raw.only, str) else raw.only
    if listed is None:
        return DOORS
    if not listed or any(door not in DOORS for door in listed):
        raise PlanError(f"{subject}: 'only' is a door, or a list of doors, of {', '.join(DOORS)}, not {raw.only!r:.60}")
    return tuple(door for door in DOORS if door in listed)


def _stores(raw: PluginTable, subject: str) -> tuple[str, ...]:
    if raw.stores is None:
        return ()
    if not raw.stores or "" in raw.stores:
        raise PlanError(f"{subject}: 'stores' lists the ids of stores ([serve.stores.ID]); without it, all are meant")
    return tuple(dict.fromkeys(raw.stores))


def _statuses(raw: PluginTable, subject: str) -> tuple[int, ...] | None:
    if raw.refuse is None:
        return None
    if not raw.use.startswith("exec:"):
        raise PlanError(f"{subject}: 'refuse' lists the exit statuses of a program (exec:); a plugin raises Reject")
    if not raw.refuse or any(not 1 <= status <= _MAX_STATUS for status in raw.refuse):
        raise PlanError(
            f"{subject}: 'refuse' lists exit statuses from 1 to {_MAX_STATUS}, such as [10], not {raw.refuse!r:.60}; "
            "0 accepts, and shells use those above for programs that cannot run"
        )
    return tuple(raw.refuse)


def _policy(raw: PluginTable, subject: str) -> dict[str, OnFailure]:
    policy: dict[str, OnFailure] = {}
    for key in ("on_error", "on_timeout", "on_incomplete"):
        value = getattr(raw, key)
        if raw.mode == "audit" and value == "reject":
            raise PlanError(f"{subject}: mode = 'audit' never refuses, so {key} = 'reject' cannot hold; use 'enforce'")
        policy[key] = value or ("reject" if raw.mode == "enforce" else "warn")
    return policy


def _quantities(raw: PluginTable, subject: str) -> dict[str, Any]:
    quantities: dict[str, Any] = {}
    for key in ("start", "stall", "timeout"):
        if (value := getattr(raw, key)) is not None:
            quantities[key] = converted(parse_duration, value, f"{subject}: {key!r}")
    for key in ("memory", "max_output", "scratch"):
        if (value := getattr(raw, key)) is not None:
            quantities[key] = converted(parse_size, value, f"{subject}: {key!r}")
    for key in ("threads", "processes", "max_ratio"):
        if (value := getattr(raw, key)) is not None:
            if not 1 <= value <= MAX_COUNT:
                raise PlanError(f"{subject}: {key!r} is at least 1 and at most {MAX_COUNT}, not {value!r}")
            quantities[key] = value
    if raw.reuse is not None:
        if not 1 <= raw.reuse <= MAX_REUSE:
            raise PlanError(
                f"{subject}: 'reuse' is the number of images that a process may serve, from 1 to {MAX_REUSE}, "
                f"not {raw.reuse!r}"
            )
        quantities["reuse"] = raw.reuse
    if quantities.get("memory", MIN_MEMORY) < MIN_MEMORY:
        raise PlanError(f"{subject}: 'memory' is at least 32MiB: a Python needs that before the plugin's first line")
    return quantities


def converted(parse: Callable[[Any], T], value: Any, setting: str) -> T:
    """`value`, parsed. Raises PlanError, which names the `setting`."""
    try:
        return parse(value)
    except ValueError as error:
        raise PlanError(f"{setting} is {error}") from error
