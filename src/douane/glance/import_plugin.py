"""The plugin for Glance's import: what came by web-download or glance-download is inspected, and transforms are done.

    [image_import_opts]
    image_import_plugins = [douane]

Glance goes on without a plugin that cannot be loaded. So only the standard library is imported here, `get_flow` raises
nothing, and what is wrong is found out in the task, where it ends the import.
"""

from __future__ import annotations

import logging
from typing import Any

from . import plugin_calls as ran

log = logging.getLogger("douane")


def get_flow(**kwargs: Any) -> Any:
    """The taskflow that Glance runs as a part of this import (entry point ``glance.image_import.plugins``).

    Used of `kwargs`: task_id, task_type, image_id, image_repo, action_wrapper, context, backend, import_req.
    """
    ran.mark(str(kwargs.get("image_id")))
    try:
        from .staged.task import flow_of

        return flow_of(kwargs)
    except Exception as error:
        log.critical("image %s cannot be inspected, so it is not imported", kwargs.get("image_id"), exc_info=True)
        # The loader of plugins (stevedore) lets this one through, and goes on without the plugin after any other.
        raise AssertionError("Douane cannot be used in this Glance: the import is stopped") from error
