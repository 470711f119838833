"""Everything that Douane uses of Glance's own code while images come in.

Besides these, ``store_drivers.py`` uses the drivers of stores, the import plugin the arguments of ``get_flow``, and the
doctor reads Glance's configuration. Each
function imports Glance when it is called, and raises ImportError outside of Glance.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

LOCK = "os_glance_import_task"
"""Property of an image that is being imported: the id of the task that may change the image."""
IMPORTING_TO = "os_glance_importing_to_stores"
"""Property of an image that is being imported: the stores that do not have it yet, separated by commas."""
ROLE = "douane"
"""The role with which Douane sets properties, for Glance's property protections. No user should have it."""


def staging_folder() -> Path:
    """The folder of this host in which Glance stages images."""
    from glance import housekeeping

    return Path(housekeeping.staging_store_path())


def image_repo() -> Any:
    """Glance's repository of images, with the rights of an administrator, and without property protections.

    What those hide from a user, a save by that user deletes (``purge_props`` in ``glance.db.ImageRepo.save``).
    """
    from glance.api.property_protections import ProtectedImageRepoProxy

    from glance import context, gateway

    repo = gateway.Gateway().get_repo(context.get_admin_context())
    return repo.image_repo if isinstance(repo, ProtectedImageRepoProxy) else repo


def protects_properties() -> bool:
    """True if Glance's property protections are configured."""
    from glance.common import property_utils

    return bool(property_utils.is_property_protection_enabled())


def user_repo(context: Any) -> Any:
    """Glance's repository of images, with the rights of the user of `context`, and with the role `douane`."""
    from glance import gateway

    return gateway.Gateway().get_repo(_with_role(context))


def with_role(environ: dict[str, Any]) -> dict[str, Any]:
    """The same request with the role `douane` for its user, if property protections can ask for it."""
    attributes = environ.get("webob.adhoc_attrs") or {}
    try:
        if "context" not in attributes or not protects_properties():
            return environ
    except ImportError:
        return environ  # outside of Glance
    return {**environ, "webob.adhoc_attrs": {**attributes, "context": _with_role(attributes["context"])}}


def _with_role(context: Any) -> Any:
    changed = copy.copy(context)
    changed.roles = [*(context.roles or ()), ROLE]  # a list of its own: Glance adds the service's roles to it
    return changed


def task_repo() -> Any:
    """Glance's repository of tasks, with the rights of an administrator."""
    from glance import context, gateway

    return gateway.Gateway().get_task_repo(context.get_admin_context())


def find_image(repo: Any, image_id: str) -> Any:
    """The image of `repo`, or None if it was deleted."""
    from glance.common import exception

    try:
        return repo.get(image_id)
    except exception.NotFound:
        return None


def find_task(task_id: str) -> Any:
    """The task, or None if Glance has no such task."""
    from glance.common import exception

    try:
        return task_repo().get(task_id)
    except exception.NotFound:
        return None


def request_id(environ: Mapping[str, Any]) -> str | None:
    """The id of a request, which Glance keeps with the task that the request begins; None if there is none.

    Glance's filter `context` sets it, and takes the client's own if the client sends one.
    """
    context = (environ.get("webob.adhoc_attrs") or {}).get("context")
    value = getattr(context, "request_id", None)
    return value if isinstance(value, str) else None


def import_wrapper(repo: Any, image_id: str, task_id: str) -> Any:
    """Glance's ImportActionWrapper: it changes the image if the task still has the lock."""
    from glance.async_.flows import api_image_import

    return api_image_import.ImportActionWrapper(repo, image_id, task_id)


def task_failure(message: str) -> Exception:
    """An exception that ends a task. Glance shows the text of this kind to the tenant, and of others it does not."""
    from glance.common import exception

    failure: Exception = exception.UploadException(message)
    return failure


def is_staged_elsewhere(image_id: str) -> bool:
    """True if another host has the staged data, to which Glance sends the import on.

    It is decided as in ``ImagesController.is_proxyable``; Glance's API does not show the property.
    """
    image = image_repo().get(image_id)
    from oslo_config import cfg

    host = image.extra_properties.get("os_glance_stage_host")
    return bool(host) and host != (cfg.CONF.worker_self_reference_url or cfg.CONF.public_endpoint)


def import_plugin_names() -> list[str]:
    """The value of ``image_import_plugins``, which is read with Glance's configuration."""
    from glance.async_.flows import api_image_import
    from oslo_config import cfg

    assert api_image_import is not None  # it registers the option
    return list(cfg.CONF.image_import_opts.image_import_plugins)


def hashing_algorithm() -> str:
    """The algorithm of the digest that Glance takes of the images that it stores (`os_hash_algo`)."""
    from glance.common import config
    from oslo_config import cfg

    assert config is not None  # it registers the option
    return str(cfg.CONF.hashing_algorithm)


def is_before_31() -> bool:
    """True in a Glance that records the Content-Length of staged data, and not its size."""
    try:
        return int(metadata.version("glance").partition(".")[0]) < 31
    except (metadata.PackageNotFoundError, ValueError):
        return False
