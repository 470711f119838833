"""An import plugin for the tests of stock Glance: it does what the image's property `do` says."""

from __future__ import annotations

import os
import time
from typing import Any

from taskflow import task
from taskflow.patterns import linear_flow


class AsTold(task.Task):  # type: ignore[misc]  # taskflow has no types
    """One import."""

    default_provides = "file_path"

    def __init__(self, task_id: str, backend: list[str], action_wrapper: Any) -> None:
        super().__init__(name=f"as-told-{task_id}")
        self._stores = backend
        self._wrapper = action_wrapper

    def execute(self, file_path: str, **_more: Any) -> str | None:
        """Does it. Raises RuntimeError for a refusal."""
        with self._wrapper as action:
            do = action.image_extra_properties.get("do", "accept")
            action.set_image_extra_properties({"told": do})
        if do == "nothing":
            return None
        if do == "wait":
            while True:  # until Glance is killed
                time.sleep(0.1)
        if do == "refuse-and-clean":
            with self._wrapper as action:
                action.set_image_attribute(status="queued", size=None)
                action.remove_importing_stores(self._stores)
                action.add_failed_stores(self._stores)
            os.unlink(file_path.removeprefix("file://"))
        if do != "accept":
            raise RuntimeError(do)
        return file_path


def get_flow(task_id: str, task_type: str, backend: list[str], action_wrapper: Any, **_more: Any) -> linear_flow.Flow:
    """For Glance."""
    return linear_flow.Flow(task_type).add(AsTold(task_id, backend, action_wrapper))
