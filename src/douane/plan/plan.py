"""What the operator says: one TOML file, in the order in which an image travels."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from douane.errors import PlanError
from douane.stream.digest import ALGORITHMS
from douane.units import GiB, MiB, parse_duration, parse_size

Mode = Literal["enforce", "warn", "audit"]
OnFailure = Literal["reject", "warn"]

MOST = 1_000_000
"""Upper bound of counts in the configuration: what is more is a slip of the hand."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}", re.ASCII)
_PATTERN = re.compile(r"[a-zA-Z0-9_.:-]{1,255}\*?|\*", re.ASCII)


class PluginSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[plugin]]` of the configuration, defaults filled in. Durations in seconds, sizes in bytes."""

    name: str
    use: str
    mode: Mode = "enforce"
    on_error: OnFailure = "reject"
    on_timeout: OnFailure = "reject"
    on_incomplete: OnFailure = "reject"
    start: float = 30.0
    stall: float = 30.0
    timeout: float = 600.0
    memory: int = 512 * MiB
    threads: int = 64
    processes: int = 16
    python: str | None = None
    programs: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    texts: dict[str, str] = {}
    grants: dict[str, str] = {}
    max_output: int = 128 * GiB
    max_ratio: float = 250.0
    may_set: tuple[str, ...] = ()
    scratch: int | None = None
    base: str = ""

    def config_digest(self) -> str:
        """sha256 (hex) of the plugin's configuration, grants included, in a canonical form."""
        canonical = msgspec.json.encode([self.config, self.texts, self.grants], order="deterministic")
        return hashlib.sha256(canonical).hexdigest()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table that an import goes by."""

    plugins: tuple[PluginSpec, ...]
    digests: tuple[str, ...] = ALGORITHMS
    received_digests: tuple[str, ...] = ALGORITHMS
    """Those of an image that becomes another one, as it arrived; of one that stays as it is, both are told."""
    deadline: float = 86400.0
    minimum_sandbox: str = "strict"

    def for_image_service(self, *, transforms: bool) -> Plan:
        """The same plan where what comes out is kept by somebody who takes digests of it, as Glance does: without any,
        or, if it `transforms` images, with the one that tells what became another and what did not: the fastest strong
        one, with the processor's help."""
        needed = ("sha256",) if transforms else ()
        return msgspec.structs.replace(self, digests=needed, received_digests=needed)


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    """A `[[plugin]]` as it is written."""

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
    max_output: str | int | None = None
    max_ratio: float | None = None
    may_set: list[str] = []
    scratch: str | int | None = None


_TOP = ("import", "sandbox", "plugin")
_IMPORT = ("deadline", "digests", "received_digests")
_SANDBOX = ("minimum",)
_TIERS = ("full", "strict", "off")

DEFAULT_PLUGINS = ({"name": "format", "use": "format"},)


def load_plan(path: str | None, *, extra: Sequence[str] = (), settings: Sequence[str] = ()) -> Plan:
    """The plan from the file at `path` (None: the built-in one, the `format` inspector).

    `extra` are plugins of the command line, `[NAME=]SPEC`; `settings` are `NAME.KEY=VALUE`. Raises PlanError.
    """
    table: Mapping[str, Any]
    if path is None:
        table, where, base = {"plugin": [dict(plugin) for plugin in DEFAULT_PLUGINS]}, "the built-in plan", ""
    else:
        table, where, base = _read_toml(path), path, str(Path(path).resolve().parent)
    plan = parse_plan(table, where=where, base=base)
    added = [_from_command_line(spec) for spec in extra]
    kept = plan.plugins
    if path is None:
        names = {plugin.name for plugin in added}
        kept = tuple(plugin for plugin in kept if plugin.name not in names)
    plugins = [*kept, *added]
    _refuse_doubles(plugins, where)
    if not plugins:
        raise PlanError(f"{where} names no plugin at all, so nothing would be checked; add a [[plugin]] table")
    return msgspec.structs.replace(plan, plugins=tuple(_apply_settings(plugins, settings)))


def parse_plan(table: Mapping[str, Any], *, where: str, base: str) -> Plan:
    """The plan in a decoded TOML document. `where` names it in errors; `base` is where relative paths begin."""
    _refuse_unknown(table, _TOP, where, "")
    importing = _table(table, "import", _IMPORT, where)
    sandbox = _table(table, "sandbox", _SANDBOX, where)
    listed = table.get("plugin", [])
    if not isinstance(listed, list):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    plugins = [_plugin(entry, number, where, base) for number, entry in enumerate(listed, 1)]
    _refuse_doubles(plugins, where)
    digests = _digests(importing, "digests", ALGORITHMS, where)
    minimum = sandbox.get("minimum", "strict")
    if minimum not in _TIERS:
        raise PlanError(f"{where}: [sandbox] minimum is one of {', '.join(_TIERS)}, not {minimum!r:.60}")
    return Plan(
        plugins=tuple(plugins),
        digests=digests,
        received_digests=_digests(importing, "received_digests", digests, where),
        deadline=_unit(parse_duration, importing.get("deadline", "24h"), f"{where}: [import] deadline"),
        minimum_sandbox=minimum,
    )


def _digests(table: Mapping[str, Any], key: str, default: Sequence[str], where: str) -> tuple[str, ...]:
    listed = table.get(key, list(default))
    if not isinstance(listed, list) or any(digest not in ALGORITHMS for digest in listed):
        raise PlanError(f"{where}: [import] {key} is a list of {', '.join(ALGORITHMS)}, not {listed!r:.100}")
    return tuple(dict.fromkeys(listed))


def _read_toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise PlanError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML, of UTF-8, and int's of a number with thousands of digits
        raise PlanError(f"the configuration {path} is not TOML: {error}") from error
    except RecursionError as error:
        raise PlanError(f"the configuration {path} is not usable: its values are nested too deeply") from error


def _table(table: Mapping[str, Any], key: str, known: tuple[str, ...], where: str) -> dict[str, Any]:
    inner = table.get(key, {})
    if not isinstance(inner, dict):
        raise PlanError(f"{where}: {key} is a table, written [{key}]")
    _refuse_unknown(inner, known, where, f"[{key}] ")
    return inner


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str, what: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise PlanError(f"{where}: {what}{key!r} is not a setting; {hint}")


def _plugin(entry: Any, number: int, where: str, base: str) -> PluginSpec:
    if not isinstance(entry, dict):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    name = entry.get("name")
    what = f"plugin {name!r}" if isinstance(name, str) else f"plugin number {number}"
    _refuse_unknown(entry, _Raw.__struct_fields__, where, f"{what}: ")
    for key in ("name", "use"):
        if key not in entry:
            raise PlanError(f"{where}: {what} has no {key!r}")
    try:
        raw = msgspec.convert(entry, _Raw)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        key = place.rstrip("`") or "it"
        raise PlanError(f"{where}: {what}: {key!r} is wrong: {text[0].lower()}{text[1:]}") from error
    if any("\0" in text for text in (raw.use, raw.python or "", *raw.programs, *raw.grants.values())):
        raise PlanError(f"{where}: {what}: a path or command holds a NUL character")
    if not _NAME.fullmatch(raw.name):
        raise PlanError(
            f"{where}: {what}: a name begins with a letter and has at most 48 of a-z 0-9 _ - (it becomes part of "
            "the names of the properties)"
        )
    return _complete(raw, f"{where}: {what}", base)


def _complete(raw: _Raw, what: str, base: str) -> PluginSpec:
    lenient = raw.mode != "enforce"
    given: dict[str, Any] = {}
    for key in ("on_error", "on_timeout", "on_incomplete"):
        value = getattr(raw, key)
        if raw.mode == "audit" and value == "reject":
            raise PlanError(f"{what}: mode = 'audit' never refuses, so {key} = 'reject' cannot hold; use 'enforce'")
        given[key] = value or ("warn" if lenient else "reject")
    for key in ("start", "stall", "timeout"):
        if (value := getattr(raw, key)) is not None:
            given[key] = _unit(parse_duration, value, f"{what}: {key!r}")
    for key in ("memory", "max_output", "scratch"):
        if (value := getattr(raw, key)) is not None:
            given[key] = _unit(parse_size, value, f"{what}: {key!r}")
    for key in ("threads", "processes", "max_ratio"):
        if (value := getattr(raw, key)) is not None:
            if not 1 <= value <= MOST:
                raise PlanError(f"{what}: {key!r} is at least 1 and at most {MOST}, not {value!r}")
            given[key] = value
    if given.get("memory", 512 * MiB) < 32 * MiB:
        raise PlanError(f"{what}: 'memory' is at least 32MiB: a Python needs that before the plugin's first line")
    try:
        json.dumps(raw.config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PlanError(f"{what}: 'config' holds a value that a plugin cannot be given: {error}") from error
    for pattern in raw.may_set:
        if not _PATTERN.fullmatch(pattern):
            raise PlanError(
                f"{what}: 'may_set' lists names of properties, with * for any number of characters at the end "
                f"(hw_*), not {pattern!r:.60}"
            )
    return PluginSpec(
        name=raw.name,
        use=raw.use,
        mode=raw.mode,
        python=raw.python,
        programs=tuple(raw.programs),
        may_set=tuple(raw.may_set),
        config=raw.config,
        grants=raw.grants,
        base=base,
        **given,
    )


def _unit(parse: Any, value: Any, what: str) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise PlanError(f"{what} is {error}") from error


def _from_command_line(spec: str) -> PluginSpec:
    name, equals, use = spec.partition("=")
    if not equals or not _NAME.fullmatch(name) or not use:
        use = spec
        if use.startswith(("exec:", "wire:")):
            words = use[5:].split()
            name = Path(words[0]).stem if words else ""
        else:
            name = use.rpartition(":")[2] or use
        name = re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("0123456789-_")
    if not _NAME.fullmatch(name):
        raise PlanError(f"--plugin {spec}: no name can be made of it; write NAME={spec}")
    return PluginSpec(name=name, use=use, base=os.getcwd())


def _refuse_doubles(plugins: Iterable[PluginSpec], where: str) -> None:
    seen: set[str] = set()
    for plugin in plugins:
        if plugin.name in seen:
            raise PlanError(f"{where}: two plugins are named {plugin.name!r}; give one of them another name")
        seen.add(plugin.name)


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
    alike = exact or [index for index, plugin in enumerate(plugins) if plain(plugin.name) == plain(name)]
    if len(alike) != 1:
        have = ", ".join(plugin.name for plugin in plugins)
        raise PlanError(f"--set {setting}: there is no plugin {name!r} in the plan; it has: {have}")
    return alike[0]
