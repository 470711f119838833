"""Read a plan: the TOML file, and the plugins and settings of the command line. Every error names the wrong setting."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from douane.errors import PlanError
from douane.stream.digest import ALGORITHMS
from douane.units import parse_duration

from .builtin import needs_of
from .evidence_table import EvidenceTable, read_evidence
from .guest_table import GuestTable, read_guest
from .model import Plan, PluginSpec, TierName
from .plugin_table import PLUGIN_NAME, converted, read_plugin, refuse_unknown

_TABLES = ("import", "sandbox", "plugin", "guest", "evidence", "serve")
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
        table, where, base = read_toml(path), path, os.path.dirname(os.path.realpath(path))
    plan = parse_plan(table, where=where, base=base)
    added = [_from_command_line(spec) for spec in extra]
    replaced = {plugin.name for plugin in added} if path is None else set()
    plugins = [*(plugin for plugin in plan.plugins if plugin.name not in replaced), *added]
    _refuse_duplicates(plugins, where)
    if not plugins:
        raise PlanError(f"{where} has no plugin, so nothing would be checked; add a [[plugin]] table")
    if all(plugin.is_bound for plugin in plugins):
        raise PlanError(
            f"{where}: every plugin has 'only', 'exempt_roles' or 'stores', so some images would not be checked at "
            "all; these are for transforms: add an inspector without them, such as format"
        )
    return msgspec.structs.replace(plan, plugins=tuple(_apply_settings(plugins, settings)))


def parse_plan(table: Mapping[str, Any], *, where: str, base: str) -> Plan:
    """The plan in a decoded TOML document. Raises PlanError.

    `where` names the document in errors; `base` is the folder at which relative paths begin. The table ``[serve]`` is
    no part of the plan, and is read by `douane.imports.settings_file`.
    """
    refuse_unknown(table, _TABLES, where, "")
    importing = _table(table, "import", _IMPORT, where)
    sandbox = _table(table, "sandbox", _SANDBOX, where)
    listed = table.get("plugin", [])
    if not isinstance(listed, list):
        raise PlanError(f"{where}: plugins are written as [[plugin]], with two brackets")
    plugins = [read_plugin(entry, number, where, base) for number, entry in enumerate(listed, 1)]
    _refuse_duplicates(plugins, where)
    digests = _digests(importing, "digests", ALGORITHMS, where)
    minimum = sandbox.get("minimum", "strict")
    if minimum not in _TIERS:
        raise PlanError(f"{where}: [sandbox] minimum is one of {', '.join(_TIERS)}, not {minimum!r:.60}")
    return Plan(
        plugins=tuple(plugins),
        digests=digests,
        received_digests=_digests(importing, "received_digests", digests, where),
        deadline=converted(parse_duration, importing.get("deadline", "24h"), f"{where}: [import] deadline"),
        minimum_sandbox=minimum,
        evidence=read_evidence(_table(table, "evidence", EvidenceTable.__struct_fields__, where), where, base, digests)
        if "evidence" in table
        else None,
        guest=read_guest(_table(table, "guest", GuestTable.__struct_fields__, where), where),
    )


def _digests(table: Mapping[str, Any], key: str, default: Sequence[str], where: str) -> tuple[str, ...]:
    listed = table.get(key, list(default))
    if not isinstance(listed, list) or any(digest not in ALGORITHMS for digest in listed):
        raise PlanError(f"{where}: [import] {key} is a list of {', '.join(ALGORITHMS)}, not {listed!r:.100}")
    return tuple(dict.fromkeys(listed))


def read_toml(path: str) -> dict[str, Any]:
    """The decoded TOML document at `path`. Raises PlanError."""
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
    refuse_unknown(inner, keys, where, f"[{key}] ")
    return inner


def _from_command_line(spec: str) -> PluginSpec:
    name, equals, use = spec.partition("=")
    if not equals or not PLUGIN_NAME.fullmatch(name) or not use:
        use = spec
        if use.startswith(("exec:", "wire:")):
            words = use[5:].split()
            name = os.path.splitext(os.path.basename(words[0]))[0] if words else ""
        else:
            name = use.rpartition(":")[2] or use
        name = re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("0123456789-_")
    if not PLUGIN_NAME.fullmatch(name):
        raise PlanError(f"--plugin {spec}: cannot derive a name from it; write NAME={spec}")
    needs = needs_of(use)
    return PluginSpec(name=name, use=use, base=os.getcwd(), own_defaults=tuple(needs), **needs)


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
