"""What is to be run, on what, with what: the arguments of `run`, checked and completed."""

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
    """What the sender of an image says of it. All of it can be left out.

    `name`, `disk_format`, `container_format`, `owner` are str or None. `roles` is a sequence of str, `properties` a
    mapping of str to str. `size` is a number of bytes, None for "not known before the end" (a pipe), or
    ``"actual"``: that of the image; for a generator or an open file that is not known.
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
        known = self.size is None or self.size == "actual"
        if not known and (isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 0):
            raise TypeError(f"declared size is a number of bytes, None, or 'actual', not {self.size!r:.60}")
        for key, value in self.properties.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"declared properties are of str to str; {key!r:.60} is {value!r:.60}")

    def _facts(self) -> dict[str, Any]:
        """As the engine tells a plugin, without the size."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "size"}
        return {**told, "roles": list(self.roles)}


@dataclass
class Order:
    """One run. `size` is what the plugin is told."""

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
    raising: bool


_KNOWN = {one.name for one in fields(Declared)}


def declare(given: Any) -> Declared:
    """A Declared of what was given as one. Raises TypeError."""
    if given is None:
        return Declared()
    if isinstance(given, Declared):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"declared is a Declared or a mapping, not {given!r:.60}")
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise TypeError(f"{unknown[0]!r} cannot be declared; what can is {', '.join(sorted(_KNOWN))}")
    return Declared(**given)


def make_order(
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
    raising: bool,
) -> Order:
    """Check what can be checked before anything is opened but the image."""
    if not isinstance(plugin, str) and not (isinstance(plugin, type) and issubclass(plugin, (Inspector, Transform))):
        hint = "; give the class, not an instance of it" if isinstance(plugin, (Inspector, Transform)) else ""
        raise TypeError(f"a plugin is a class, or a text such as 'file.py:Class', not {plugin!r:.100}{hint}")
    if scratch is not None and (isinstance(scratch, bool) or not isinstance(scratch, int) or scratch < 1):
        raise TypeError(f"scratch is a number of bytes, 1 or more, or None, not {scratch!r:.60}")
    facts = declare(declared)
    choose = lengths(chunks, seed)
    try:
        settings = loads(dumps(dict(config or {})))  # a tuple is what TOML would give: an array
    except TypeError as error:
        raise WrongConfiguration(f"the configuration cannot be written in TOML: {error}") from None
    source = Source(image)
    return Order(
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
        raising=raising,
    )


def _name_of(plugin: Any) -> str:
    """As the command line names a plugin that was given no name."""
    name = plugin.rpartition(":")[2] or plugin if isinstance(plugin, str) else plugin.__name__
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("0123456789-_")[:48] or "plugin"
