"""Import plugins for the tests, which act by the image's property `do`."""

from __future__ import annotations

import os
import time
from typing import Any

from taskflow import task
from taskflow.patterns import linear_flow


class ActAsConfigured(task.Task):  # type: ignore[misc]  # taskflow has no types
    """One import."""

    default_provides = "file_path"

    def __init__(self, task_id: str, backend: list[str], action_wrapper: Any) -> None:
        super().__init__(name=f"act-{task_id}")
        self._stores = backend
        self._wrapper = action_wrapper

    def execute(self, file_path: str, **_arguments: Any) -> str | None:
        """Act. Raises RuntimeError for a refusal."""
        with self._wrapper as action:
            do = action.image_extra_properties.get("do", "accept")
            action.set_image_extra_properties({"acted": do})
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


def get_flow(
    task_id: str, task_type: str, backend: list[str], action_wrapper: Any, **_arguments: Any
) -> linear_flow.Flow:
    """For Glance."""
    return linear_flow.Flow(task_type).add(ActAsConfigured(task_id, backend, action_wrapper))


def get_flow_late(
    task_id: str, task_type: str, image_id: str, action_wrapper: Any, **_arguments: Any
) -> linear_flow.Flow:
    """For Glance. An image that is to `wait` waits here until Glance is killed: its import has been requested, and no
    further plugin is called for it."""
    with action_wrapper as action:
        do = action.image_extra_properties.get("do")
    if do == "wait":
        print(f"task {task_id} of image {image_id} waits.", flush=True)
    while do == "wait":
        time.sleep(0.1)
    return linear_flow.Flow(task_type)
