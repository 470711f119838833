"""The metadata of a Glance image: which of its properties the tenant declared, and which a plugin may set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from douane.report import PropertyValue, Report

from .outcome import OUTCOME_PROPERTIES, PROOF, storable

ATTRIBUTES = frozenset(
    {
        *("id", "name", "status", "visibility", "protected", "os_hidden", "owner", "size", "virtual_size", "checksum"),
        *("os_hash_algo", "os_hash_value", "disk_format", "container_format", "created_at", "updated_at", "min_disk"),
        *("min_ram", "tags", "self", "file", "schema", "stores", "locations", "direct_url"),
    }
)
"""Attributes of every image (Image API v2, schema ``image``). Every other key of an image is a property."""

_RESERVED = "os_glance"
"""Glance keeps properties with this prefix for itself."""


def is_settable(name: str) -> bool:
    """True if plugins may set `name`. An attribute could give the image other data, or make it public."""
    return name not in ATTRIBUTES and not is_of_douane(name) and not name.startswith(_RESERVED)


def is_of_douane(name: str) -> bool:
    """True for a property that Douane itself sets, for no plugin."""
    return name in OUTCOME_PROPERTIES or name == PROOF


def has_namespace(name: str, plugins: Collection[str]) -> bool:
    """True for a property in the namespace of one of `plugins`: a plugin has set it, or a tenant has made it up."""
    return "." in name and name.partition(".")[0] in plugins


def stale_properties(names: Iterable[str], plugins: Collection[str]) -> list[str]:
    """Those of `names` that describe an earlier attempt: they go when the image is accepted."""
    return [name for name in names if has_namespace(name, plugins) or is_of_douane(name)]


def declared_properties(properties: Mapping[str, object], plugins: Collection[str]) -> dict[str, str]:
    """What the tenant has declared: neither the plugins' properties of an earlier attempt nor its outcome."""
    return {
        name: str(value)
        for name, value in properties.items()
        if is_settable(name) and not has_namespace(name, plugins) and isinstance(value, str | int | float | bool)
    }


def reported_properties(report: Report, *, with_plugins: bool) -> dict[str, PropertyValue | None]:
    """The properties of an accepted image; None: remove. Without `with_plugins` only the proposed ones."""
    properties: dict[str, PropertyValue | None] = dict(report.properties) if with_plugins else {}
    return properties | {name: proposal.value for name, proposal in report.proposed.items()}


Texts = Mapping[str, str | None]
"""Values to set on an image; None removes the property."""


def property_changes(
    current: Collection[str], reported: Mapping[str, PropertyValue | None], plugins: Collection[str]
) -> tuple[dict[str, str | None], list[str]]:
    """What to change on an accepted image with the properties `current`, and the reported names that cannot be set.

    What `plugins` set in an earlier attempt, and its outcome, are removed.
    """
    changes: dict[str, str | None] = dict.fromkeys(stale_properties(current, plugins))
    unsettable = [name for name in reported if not is_settable(name)]
    for name, value in reported.items():
        if is_settable(name):
            changes[name] = None if value is None else property_text(value)
    return changes, unsettable


def fewer_changes(changes: Texts, plugins: Collection[str]) -> Iterator[Texts]:
    """`changes`, then ever fewer, down to none: what a site cannot store, or does not want to, must not decide over an
    image. First the plugins' own properties and the proof are left out, then the proposed ones, then all."""
    candidates: list[Texts] = [changes]
    namespaced = {name for name in changes if has_namespace(name, plugins) or is_of_douane(name)}
    candidates.append({name: None if name in namespaced else value for name, value in changes.items()})
    candidates.append({name: None for name, value in candidates[-1].items() if value is None})
    candidates.append({})
    previous: Texts | None = None
    for candidate in candidates:
        if candidate != previous:
            yield candidate
        previous = candidate


def changed_properties(current: Mapping[str, str], changes: Texts) -> dict[str, str]:
    """The properties of an image after `changes`."""
    properties = {name: value for name, value in current.items() if name not in changes}
    return properties | {name: value for name, value in changes.items() if value is not None}


def omitted(changes: Texts, saved: Texts) -> list[str]:
    """The names of `changes` that were not `saved`."""
    return [name for name, value in changes.items() if name not in saved or saved[name] != value]


def property_text(value: PropertyValue) -> str:
    """A property's value as Glance stores it: text, which every database takes."""
    return str(value).lower() if isinstance(value, bool) else storable(str(value))
