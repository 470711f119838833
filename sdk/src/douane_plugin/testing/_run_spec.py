"""The arguments of `run`, checked and completed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Mapping, Optional, Sequence, Union

from douane_plugin._contract import Inspector, Transform
from douane_plugin._json import dumps, loads

from ._pieces import Lengths, Source, lengths
from ._result import WrongConfiguration

PluginLike = Union[type[Inspector], type[Transform], str]


@dataclass(frozen=True)
class Declared:
    """What the sender declares of an image. Every field may be omitted. Raises TypeError for a value of another type.

    `name`, `disk_format`, `container_format` and `owner` are str or None, `roles` is a sequence of str, `properties` a
    mapping of str to str. `size` is a number of bytes; None, "not known before the end", as for a pipe; or
    ``"actual"``, the length of the image, which is None for a generator or an open file.
    """

    name: Optional[str] = None
    size: Union[int, str, None] = "actual"
    disk_format: Optional[str] = None
    container_format: Optional[str] = None
    owner: Optional[str] = None
    roles: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", dict(self.properties))
        object.__setattr__(self, "roles", tuple(self.roles))
        for name in ("name", "disk_format", "container_format", "owner"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise TypeError(f"declared {name} is a str or None, not {getattr(self, name)!r:.60}")
        is_number = isinstance(self.size, int) and not isinstance(self.size, bool) and self.size >= 0
        if not is_number and self.size is not None and self.size != "actual":
            raise TypeError(f"declared size is a number of bytes, None, or 'actual', not {self.size!r:.60}")
        for key, value in self.properties.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"declared properties map str to str; {key!r:.60} is {value!r:.60}")

    def _facts(self) -> dict[str, Any]:
        """Return the facts of an IMAGE frame, without the size."""
        facts = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "size"}
        return {**facts, "roles": list(self.roles)}


@dataclass
class RunSpec:
    """One run of a plugin. `choose` cuts the image into chunks; `size` is the size that the plugin sees."""

    plugin: PluginLike
    source: Source
    choose: Optional[Lengths]
    size: Optional[int]
    config: dict[str, Any]
    grants: Any
    declared: Declared
    findings: dict[str, Any]
    scratch: Optional[int]
    may_set: tuple[str, ...]
    name: str
    plan: dict[str, Any]
    raise_on_failure: bool


_FIELDS = {item.name for item in fields(Declared)}


def declare(declared: Any) -> Declared:
    """Return the argument `declared` of `run` as a Declared. Raises TypeError."""
    if declared is None:
        return Declared()
    if isinstance(declared, Declared):
        return declared
    if not isinstance(declared, Mapping):
        raise TypeError(f"declared is a Declared or a mapping, not {declared!r:.60}")
    unknown = sorted(set(declared) - _FIELDS)
    if unknown:
        raise TypeError(f"{unknown[0]!r} cannot be declared; these can: {', '.join(sorted(_FIELDS))}")
    return Declared(**declared)


def make_run_spec(
    plugin: Any,
    image: Any,
    chunks: Any,
    seed: int,
    config: Any,
    grants: Any,
    declared: Any,
    findings: Any,
    scratch: Any,
    may_set: Sequence[str],
    plugin_name: Optional[str],
    plan: Any,
    raise_on_failure: bool,
) -> RunSpec:
    """Check the arguments of `run`, and open the image. Raises TypeError, WrongConfiguration, OSError."""
    if not isinstance(plugin, str) and not (isinstance(plugin, type) and issubclass(plugin, (Inspector, Transform))):
        hint = "; give the class, not an instance of it" if isinstance(plugin, (Inspector, Transform)) else ""
        raise TypeError(f"a plugin is a class, or a text such as 'file.py:Class', not {plugin!r:.100}{hint}")
    if scratch is not None and (isinstance(scratch, bool) or not isinstance(scratch, int) or scratch < 1):
        raise TypeError(f"scratch is a number of bytes, 1 or more, or None, not {scratch!r:.60}")
    facts = declare(declared)
    choose = lengths(chunks, seed)
    try:
        settings = loads(dumps(dict(config or {})))  # TOML has arrays, so a tuple becomes a list
    except TypeError as error:
        raise WrongConfiguration(f"TOML cannot hold the configuration: {error}") from None
    source = Source(image)
    return RunSpec(
        plugin=plugin,
        source=source,
        choose=choose,
        size=source.size if facts.size == "actual" else facts.size,  # type: ignore[arg-type]  # checked in Declared
        config=settings,
        grants=grants,
        declared=facts,
        findings=dict(findings or {}),
        scratch=scratch,
        may_set=tuple(may_set),
        name=plugin_name or _name_of(plugin),
        plan=dict(plan or {}),
        raise_on_failure=raise_on_failure,
    )


def _name_of(plugin: Any) -> str:
    """Return the name that the command line gives a plugin without one."""
    name = plugin.rpartition(":")[2] or plugin if isinstance(plugin, str) else plugin.__name__
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("0123456789-_")[:48] or "plugin"
