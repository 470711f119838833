"""Read a plan: the TOML file, and the plugins and settings of the command line. Every error names the wrong setting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

import msgspec

from douane.errors import PlanError
from douane.stream.digest import ALGORITHMS
from douane.units import MiB, parse_duration, parse_size

from .binding import DOORS, Door
from .model import Mode, OnFailure, Plan, PluginSpec, TierName

T = TypeVar("T")

MAX_COUNT = 1_000_000
"""Limit of counts in the configuration: more is a mistyped number."""
MIN_MEMORY = 32 * MiB

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}", re.ASCII)
_PATTERN = re.compile(r"[a-zA-Z0-9_.:-]{1,255}\*?|\*", re.ASCII)


class _PluginTable(msgspec.Struct, forbid_unknown_fields=True):
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
    programs: list[str] = []
    config: dict[str, Any] = {}
    grants: dict[str, str] = {}
    connect_as: str | None = None
    max_output: str | int | None = None
    max_ratio: float | None = None
    may_set: list[str] = []
    scratch: str | int | None = None
    only: str | list[str] | None = None
    exempt_roles: list[str] = []


_TABLES = ("import", "sandbox", "plugin")
_IMPORT = ("deadline", "digests", "received_digests")
_SANDBOX = ("minimum",)
_TIERS: tuple[str, ...] = get_args(TierName)

DEFAULT_PLUGINS = ({"name": "format", "use": "format"},)


def load_plan(path: str | None, *, extra: Sequence[str] = (), settings: Sequence[str] = ()) -> Plan:
    """The plan in the file at `path`; None is the built-in plan, which is the `format` inspector.

    `extra` are plugins of the command line, ``[NAME=]SPEC``; `settings` are ``NAME.KEY=VALUE``. Raises PlanError.
    """
    table: Mapping[str, Any]
    if path is None:
        table, where, base = {"plugin": [dict(plugin) for plugin in DEFAULT_PLUGINS]}, "the built-in plan", ""
    else:
        table, where, base = _read_toml(path), path, os.path.dirname(os.path.realpath(path))
    plan = parse_plan(table, where=where, base=base)
    added = [_from_command_line(spec) for spec in extra]
    replaced = {plugin.name for plugin in added} if path is None else set()
    plugins = [*(plugin for plugin in plan.plugins if plugin.name not in replaced), *added]
    _refuse_duplicates(plugins, where)
    if not plugins:
        raise PlanError(f"{where} has no plugin, so nothing would be checked; add a [[plugin]] table")
    if all(plugin.is_bound for plugin in plugins):
        raise PlanError(
            f"{where}: every plugin has 'only' or 'exempt_roles', so some images would not be checked at all; add an "
            "inspector, such as format"
        )
    return msgspec.structs.replace(plan, plugins=tuple(_apply_settings(plugins, settings)))


def parse_plan(table: Mapping[str, Any], *, where: str, base: str) -> Plan:
    """The plan in a decoded TOML document. Raises PlanError.

    `where` names the document in errors; `base` is the folder at which relative paths begin.
    """
    _refuse_unknown(table, _TABLES, where, "")
    importing = _table(table, "import", _IMPORT, where)
    sandbox = _table(table, "sandbox", _SANDBOX, where)
    listed = table.get("plugin", [])
    if not isinstance(listed, list):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    plugins = [_plugin(entry, number, where, base) for number, entry in enumerate(listed, 1)]
    _refuse_duplicates(plugins, where)
    digests = _digests(importing, "digests", ALGORITHMS, where)
    minimum = sandbox.get("minimum", "strict")
    if minimum not in _TIERS:
        raise PlanError(f"{where}: [sandbox] minimum is one of {', '.join(_TIERS)}, not {minimum!r:.60}")
    return Plan(
        plugins=tuple(plugins),
        digests=digests,
        received_digests=_digests(importing, "received_digests", digests, where),
        deadline=_converted(parse_duration, importing.get("deadline", "24h"), f"{where}: [import] deadline"),
        minimum_sandbox=minimum,
    )


def _digests(table: Mapping[str, Any], key: str, default: Sequence[str], where: str) -> tuple[str, ...]:
    listed = table.get(key, list(default))
    if not isinstance(listed, list) or any(digest not in ALGORITHMS for digest in listed):
        raise PlanError(f"{where}: [import] {key} is a list of {', '.join(ALGORITHMS)}, not {listed!r:.100}")
    return tuple(dict.fromkeys(listed))


def _read_toml(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise PlanError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # from TOML, from UTF-8, and from int for a number with thousands of digits
        raise PlanError(f"the configuration {path} is not TOML: {error}") from error
    except RecursionError as error:
        raise PlanError(f"the configuration {path} is not usable: its values are nested too deeply") from error


def _table(table: Mapping[str, Any], key: str, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    inner = table.get(key, {})
    if not isinstance(inner, dict):
        raise PlanError(f"{where}: {key} is a table, written [{key}]")
    _refuse_unknown(inner, keys, where, f"[{key}] ")
    return inner


def _refuse_unknown(table: Mapping[str, Any], keys: Iterable[str], where: str, prefix: str) -> None:
    for key in table:
        if key not in keys:
            import difflib

            near = difflib.get_close_matches(key, list(keys), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(keys)}"
            raise PlanError(f"{where}: {prefix}{key!r} is not a setting; {hint}")


def _plugin(entry: Any, number: int, where: str, base: str) -> PluginSpec:
    if not isinstance(entry, dict):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    name = entry.get("name")
    subject = f"plugin {name!r}" if isinstance(name, str) else f"plugin number {number}"
    _refuse_unknown(entry, _PluginTable.__struct_fields__, where, f"{subject}: ")
    for key in ("name", "use"):
        if key not in entry:
            raise PlanError(f"{where}: {subject} has no {key!r}")
    try:
        raw = msgspec.convert(entry, _PluginTable)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        key = path.rstrip("`") or "it"
        raise PlanError(f"{where}: {subject}: {key!r} is wrong: {reason[0].lower()}{reason[1:]}") from error
    if any("\0" in text for text in (raw.use, raw.python or "", *raw.programs, *raw.grants.values())):
        raise PlanError(f"{where}: {subject}: a path or command holds a NUL character")
    if not _NAME.fullmatch(raw.name):
        raise PlanError(
            f"{where}: {subject}: a name begins with a letter and has at most 48 of a-z 0-9 _ - (the names of its "
            "properties begin with it)"
        )
    return _complete(raw, f"{where}: {subject}", base)


def _complete(raw: _PluginTable, subject: str, base: str) -> PluginSpec:
    settings = {**_policy(raw, subject), **_quantities(raw, subject)}
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
    return PluginSpec(
        name=raw.name,
        use=raw.use,
        mode=raw.mode,
        python=raw.python,
        programs=tuple(raw.programs),
        may_set=tuple(raw.may_set),
        config=raw.config,
        grants=raw.grants,
        connect_as=raw.connect_as,
        only=_doors(raw, subject),
        exempt_roles=tuple(raw.exempt_roles),
        base=base,
        **settings,
    )


def _doors(raw: _PluginTable, subject: str) -> tuple[Door, ...]:
    listed = [raw.only] if isinstance(raw.only, str) else raw.only
    if listed is None:
        return DOORS
    if not listed or any(door not in DOORS for door in listed):
        raise PlanError(f"{subject}: 'only' is a door, or a list of doors, of {', '.join(DOORS)}, not {raw.only!r:.60}")
    return tuple(door for door in DOORS if door in listed)


def _policy(raw: _PluginTable, subject: str) -> dict[str, OnFailure]:
    policy: dict[str, OnFailure] = {}
    for key in ("on_error", "on_timeout", "on_incomplete"):
        value = getattr(raw, key)
        if raw.mode == "audit" and value == "reject":
            raise PlanError(f"{subject}: mode = 'audit' never refuses, so {key} = 'reject' cannot hold; use 'enforce'")
        policy[key] = value or ("reject" if raw.mode == "enforce" else "warn")
    return policy


def _quantities(raw: _PluginTable, subject: str) -> dict[str, Any]:
    quantities: dict[str, Any] = {}
    for key in ("start", "stall", "timeout"):
        if (value := getattr(raw, key)) is not None:
            quantities[key] = _converted(parse_duration, value, f"{subject}: {key!r}")
    for key in ("memory", "max_output", "scratch"):
        if (value := getattr(raw, key)) is not None:
            quantities[key] = _converted(parse_size, value, f"{subject}: {key!r}")
    for key in ("threads", "processes", "max_ratio"):
        if (value := getattr(raw, key)) is not None:
            if not 1 <= value <= MAX_COUNT:
                raise PlanError(f"{subject}: {key!r} is at least 1 and at most {MAX_COUNT}, not {value!r}")
            quantities[key] = value
    if quantities.get("memory", MIN_MEMORY) < MIN_MEMORY:
        raise PlanError(f"{subject}: 'memory' is at least 32MiB: a Python needs that before the plugin's first line")
    return quantities


def _converted(parse: Callable[[Any], T], value: Any, setting: str) -> T:
    try:
        return parse(value)
    except ValueError as error:
        raise PlanError(f"{setting} is {error}") from error


def _from_command_line(spec: str) -> PluginSpec:
    name, equals, use = spec.partition("=")
    if not equals or not _NAME.fullmatch(name) or not use:
        use = spec
        if use.startswith(("exec:", "wire:")):
            words = use[5:].split()
            name = os.path.splitext(os.path.basename(words[0]))[0] if words else ""
        else:
            name = use.rpartition(":")[2] or use
        name = re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("0123456789-_")
    if not _NAME.fullmatch(name):
        raise PlanError(f"--plugin {spec}: cannot derive a name from it; write NAME={spec}")
    return PluginSpec(name=name, use=use, base=os.getcwd())


def _refuse_duplicates(plugins: Iterable[PluginSpec], where: str) -> None:
    names: set[str] = set()
    for plugin in plugins:
        if plugin.name in names:
            raise PlanError(f"{where}: two plugins are named {plugin.name!r}; give one of them another name")
        names.add(plugin.name)


def _apply_settings(plugins: list[PluginSpec], settings: Sequence[str]) -> list[PluginSpec]:
    for setting in settings:
        target, equals, value = setting.partition("=")
        name, dot, key = target.partition(".")
        if not (equals and dot and key):
            raise PlanError(f"--set {setting}: write it as NAME.KEY=VALUE")
        index = _find_plugin(plugins, name, setting)
        texts = {**plugins[index].texts, key: value}
        plugins[index] = msgspec.structs.replace(plugins[index], texts=texts)
    return plugins


def _find_plugin(plugins: list[PluginSpec], name: str, setting: str) -> int:
    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    exact = [index for index, plugin in enumerate(plugins) if plugin.name == name]
    matches = exact or [index for index, plugin in enumerate(plugins) if plain(plugin.name) == plain(name)]
    if len(matches) != 1:
        names = ", ".join(plugin.name for plugin in plugins)
        raise PlanError(f"--set {setting}: there is no plugin {name!r} in the plan; it has: {names}")
    return matches[0]
