"""The JSON Schema of the configuration file, made from the structs that read it: for editors."""

from __future__ import annotations

from typing import Any, get_args

from msgspec import inspect

from douane.imports.settings.structs import ServeSettings
from douane.imports.settings.values import Address, Duration, FilePath, HostRule, Size
from douane.plan.evidence_table import EvidenceTable
from douane.plan.guest_table import GuestTable
from douane.plan.model import TierName
from douane.plan.plugin_table import PluginTable
from douane.stream.digest import ALGORITHMS

from .json_schema import DIALECT

_SIZE = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[0-9.]+ *[KMGTPEkmgtpe]?[iI]?[bB]?$"}]
}
_DURATION = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^[0-9.]+ *(ms|s|m|h|d)$"}]
}
_CUSTOM: dict[type, dict[str, Any]] = {
    Size: _SIZE,
    Duration: _DURATION,
    Address: {"type": "string", "pattern": r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"},
    FilePath: {"type": "string", "minLength": 1},
    HostRule: {"type": "string", "minLength": 1},
}
_PLAIN: dict[type, dict[str, Any]] = {
    inspect.StrType: {"type": "string"},
    inspect.BoolType: {"type": "boolean"},
    inspect.IntType: {"type": "integer"},
    inspect.FloatType: {"type": "number"},
    inspect.AnyType: {},
}


def plan_schema() -> dict[str, Any]:
    """The schema of the whole file (2020-12)."""
    digests = {"type": "array", "items": {"enum": list(ALGORITHMS)}}
    return {
        "$schema": DIALECT,
        "title": "The configuration of Douane",
        **_table({
            "import": _table({"deadline": _DURATION, "digests": digests, "received_digests": digests}),
            "sandbox": _table({"minimum": {"enum": list(get_args(TierName))}}),
            "plugin": {"type": "array", "items": _of(inspect.type_info(PluginTable))},
            "evidence": _of(inspect.type_info(EvidenceTable)),
            "guest": _of(inspect.type_info(GuestTable)),
            "serve": _of(inspect.type_info(ServeSettings)),
        }),
    }  # fmt: skip


def _table(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    table: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**table, "required": required} if required else table


def _of(kind: inspect.Type) -> dict[str, Any]:
    if type(kind) in _PLAIN:
        return dict(_PLAIN[type(kind)])
    if isinstance(kind, inspect.CustomType):
        return dict(_CUSTOM[kind.cls])
    if isinstance(kind, inspect.LiteralType):
        return {"enum": list(kind.values)}
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        return {"type": "array", "items": _of(kind.item_type)}
    if isinstance(kind, inspect.DictType):
        return {"type": "object", "additionalProperties": _of(kind.value_type)}
    if isinstance(kind, inspect.UnionType):  # TOML has no null
        kinds = [_of(member) for member in kind.types if not isinstance(member, inspect.NoneType)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if isinstance(kind, inspect.Metadata):
        return {**_of(kind.type), **(kind.extra_json_schema or {})}
    if isinstance(kind, inspect.StructType):
        fields = {field.encode_name: field for field in kind.fields}
        required = [name for name, field in fields.items() if field.required]
        return _table({name: _with_default(field) for name, field in fields.items()}, required)
    raise NotImplementedError(kind)


def _with_default(field: inspect.Field) -> dict[str, Any]:
    schema = _of(field.type)
    default = field.default
    if isinstance(default, str | bool | int | float):
        plain = next(kind for kind in (bool, int, float, str) if isinstance(default, kind))
        return {**schema, "default": plain(default)}
    return {**schema, "default": list(default)} if isinstance(default, tuple) and default else schema
