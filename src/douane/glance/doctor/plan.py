"""The filter's settings: the plan and its sandbox, or the agent; and the folder for attestations."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from douane.errors import DouaneError, PlanError
from douane.glance.backends import AgentBackend, Backend, open_backend
from douane.glance.settings import Settings, read_settings
from douane.sandbox import Tier

from .points import Area, Point
from .site import Site

_AREA = Area("plan")


def examine(site: Site) -> Iterator[Point]:
    """Load the plan as the filter does when Glance starts; sets `site.settings` and `site.backend`."""
    try:
        site.settings = settings = read_settings(site.filter_options or {})
    except PlanError as error:
        if site.filter_options is not None:
            yield _AREA.wrong(
                "settings",
                str(error),
                "fix the filter's section; if Glance has settings in its environment, DOUANE_*, set them here, too",
            )
        else:
            yield _AREA.advice("settings", "there is no filter, and so no plan to try", "see the pipeline")
        return
    try:
        site.backend = backend = open_backend(settings)
    except (DouaneError, OSError) as error:
        yield _AREA.wrong("agent" if settings.agent is not None else "plugins", str(error), _remedy(settings))
        return
    yield from _backend(settings, backend)
    yield _state(settings, has_imports=bool(site.conf.enabled_import_methods))
    if settings.summaries is not None:
        yield _AREA.ok("summaries", f"each accepted image gets one, signed, in {settings.summaries}")
    if settings.bills is not None:
        yield _AREA.ok("bills", f"each accepted image whose packages are listed gets one in {settings.bills}")
    if not settings.guard_imports:
        yield _AREA.advice(
            "imports",
            "unguarded: the filter lets an import through even if Glance does not run the import plugin",
            "remove `imports` if the import plugin is configured",
        )


def _backend(settings: Settings, backend: Backend) -> Iterator[Point]:
    names = ", ".join(sorted(backend.plugins))
    if not backend.can_refuse:
        yield _AREA.wrong(
            "verdicts",
            f'every image is let in, whatever the plugins say: none of {names} has mode = "enforce"',
            'set mode = "enforce" for the plugins that may refuse an image',
        )
    if backend.transforms:
        yield _transforms(backend.upload_transforms)
    if isinstance(backend, AgentBackend):
        yield _AREA.ok("agent", f"{settings.agent} answers; it has {names}")
        return
    yield _AREA.ok("plugins", f"{settings.config}: {names}; each was started once")
    if backend.tier is Tier.OFF:
        yield _AREA.wrong("sandbox", "off: plugins run without a sandbox", "remove `sandbox`; see `douane doctor`")
    elif backend.tier is Tier.FULL:
        yield _AREA.ok("sandbox", backend.tier.value)
    else:
        yield _AREA.advice("sandbox", backend.tier.value, "`douane doctor` says how to get the tier `full`")


def _transforms(uploads: Mapping[str, Sequence[str]]) -> Point:
    """Whom the plan locks out: an upload that a transform would change is refused, as it cannot be replaced on its way.

    `uploads` are the transforms that an upload may need, with the roles that are exempt.
    """
    name = "transforms"
    if not uploads:
        return _AREA.ok(name, "they are for imports alone; an upload (PUT /file) is inspected, and stored as it is")
    exempt = sorted(set.intersection(*map(set, uploads.values())))
    but = f", unless the sender has the role {' or '.join(exempt)}" if exempt else ""
    return _AREA.advice(
        name,
        f"an upload (PUT /file) that {' or '.join(uploads)} would change is refused with 422, needs-import{but}. Nova "
        "(snapshots of servers), Cinder (images of volumes) and `openstack image create --file` know no other door",
        'write only = "import" into its table: uploads are then inspected, and stored as they are; or exempt_roles = '
        '["service"], if Nova and Cinder send a service token; and tell the tenants to import: openstack image create '
        "--import",
    )


def _remedy(settings: Settings) -> str:
    if settings.agent is not None:
        return (
            f"start it, as a service: douane agent --socket {settings.agent} --config FILE; Glance's user must be "
            "in the group of the socket"
        )
    return f"try it as Glance's user: douane plan --config {settings.config}; `douane doctor` for the sandbox"


def _state(settings: Settings, *, has_imports: bool) -> Point:
    if settings.state is None:
        if not has_imports:
            return _AREA.ok("state", "not set; without imports it is not needed")
        return _AREA.advice(
            "state",
            "not set: staged images are inspected again when they are imported",
            "create a folder that only Glance may write, and set `state` to it",
        )
    status = os.stat(settings.state)
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        return _AREA.wrong("state", f"{settings.state} belongs to {status.st_uid}", "chown it to Glance's user")
    if not os.access(settings.state, os.W_OK | os.X_OK):
        return _AREA.wrong("state", f"{settings.state} cannot be written", "chmod 700, owned by Glance's user")
    if stat.S_IMODE(status.st_mode) & 0o022:
        return _AREA.wrong(
            "state",
            f"other users can write {settings.state}: they could claim that an image was inspected",
            f"chmod 700 {settings.state}",
        )
    return _AREA.ok("state", f"{settings.state}, owned by {status.st_uid}")
