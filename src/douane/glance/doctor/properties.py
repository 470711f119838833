"""The properties that Douane sets on images: does Glance store them, and who else can write them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from douane.glance.internals import ROLE, protects_properties
from douane.glance.outcome import OUTCOME_PROPERTIES, PROOF
from douane.glance.proof.protection import SERVICE

from .points import Area, Point
from .site import Site

_AREA = Area("properties")
_MEMBER = ["member", "reader"]
_OF_A_PLUGIN = 8
"""Properties that a plugin sets, more or less."""
_WRITE = "write rules with: douane glance protection FILE, and set property_protection_file = FILE"


def examine(site: Site) -> Iterator[Point]:
    """Yield points for the quota, for Glance's property protections, and for the key of the proofs."""
    plugins = sorted(site.backend.plugins) if site.backend is not None else []
    if site.settings is not None and not site.settings.properties:
        plugins = []
    yield _quota(site.conf.image_property_quota, len(plugins))
    names = [*(f"{plugin}.any" for plugin in plugins), *OUTCOME_PROPERTIES, PROOF]
    has_key = site.settings is not None and site.settings.key is not None
    if has_key:
        yield _AREA.ok("key", "accepted images get a proof; `douane glance verify` checks it")
    if protects_properties():
        yield from _protection(names, has_key=has_key)
    elif has_key:
        yield _AREA.ok("protection", "none: an image's owner can write its properties; a proof does not match then")
    else:
        yield _forgeable("there are no property protections, and there is no key for proofs")


def _quota(quota: int, plugins: int) -> Point:
    need = plugins * _OF_A_PLUGIN + len(OUTCOME_PROPERTIES) + 1
    fact = f"image_property_quota is {quota}"
    if 0 <= quota < need:
        return _AREA.advice(
            "quota",
            f"{fact}; properties of plugins that do not fit beside the tenant's are left out",
            f"set image_property_quota to {need} more than tenants need, or `properties = false`",
        )
    return _AREA.ok("quota", fact)


def _protection(names: Sequence[str], *, has_key: bool) -> Iterator[Point]:
    from glance.common import property_utils

    try:
        rules = property_utils.PropertyRules()
        denied = [name for name in names if not _may(rules, name, [*_MEMBER, ROLE], "create", "update", "delete")]
        written = [
            name for name in names if _may(rules, name, _MEMBER, "create") or _may(rules, name, _MEMBER, "update")
        ]
        copied = [name for name in names if _may(rules, name, [*_MEMBER, SERVICE], "create")]
    except Exception as error:  # Glance's own for a file that it cannot use, or a policy that it cannot enforce
        yield _AREA.wrong("protection", f"the rules cannot be used: {error}", "fix property_protection_file")
        return
    if denied:
        yield _AREA.advice(
            "protection",
            f"the rules deny Douane {', '.join(denied)}: they are left out, and the images get in all the same",
            f"allow the role {ROLE} to create, update and delete them; {_WRITE}",
        )
    elif not written and len(copied) < len(names):
        yield _AREA.advice(
            "protection",
            "the rules deny services the properties that they copy to the image of a server or a volume: snapshots of "
            "servers made from such images fail",
            f"allow the role {SERVICE} to create and update them; {_WRITE}",
        )
    elif not written:
        yield _AREA.ok("protection", "only Douane and services can write what plugins have found")
    elif not has_key:
        yield _forgeable(f"the rules let tenants write {', '.join(written)}, and there is no key for proofs")
    else:
        yield _AREA.ok("protection", "tenants can write the properties of plugins; a proof does not match then")


def _forgeable(reason: str) -> Point:
    return _AREA.advice(
        "protection",
        f"an image's owner can write what looks like a plugin's verdict: {reason}",
        f"set `key` for the filter, and check with `douane glance verify`; {_WRITE}",
    )


def _may(rules: Any, name: str, roles: list[str], *operations: str) -> bool:
    from glance import context

    return all(
        rules.check_property_rules(
            name, operation, context.RequestContext(user_id="a-user", project_id="a-project", roles=list(roles))
        )
        for operation in operations
    )
