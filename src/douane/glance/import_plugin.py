"""The plugin of Glance's import: it inspects what web-download or glance-download fetched, and runs transforms.

    [image_import_opts]
    image_import_plugins = [douane]

Glance goes on without a plugin that it cannot load. So this module imports only the standard library, and an error
shows in the task, where it ends the import.
"""

from __future__ import annotations

import logging
from typing import Any

from .guard.unchecked import PENDING_IMPORTS
from .outcome import drop_lock

log = logging.getLogger("douane")


def get_flow(**kwargs: Any) -> Any:
    """The taskflow that Glance runs as a part of this import (entry point ``glance.image_import.plugins``).

    Uses of `kwargs`: task_id, task_type, image_id, image_repo, action_wrapper, context, backend, import_req. Raises
    AssertionError if Douane cannot be used.
    """
    try:
        from .staged.task import flow_of

        return flow_of(kwargs)
    except Exception as error:  # the loader of plugins (stevedore) goes on without the plugin after any other error
        log.critical("image %s cannot be inspected, so it is not imported", kwargs.get("image_id"), exc_info=True)
        drop_lock(kwargs.get("action_wrapper"))  # the import has not begun; Glance would keep the lock for an hour
        raise AssertionError("Douane cannot be used in this Glance: the import is stopped") from error
    finally:
        PENDING_IMPORTS.plugin_called(str(kwargs.get("image_id")))
