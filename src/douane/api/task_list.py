"""The query strings of ``GET /v2/tasks`` (no. 22) and ``GET /v2/images/{id}/tasks`` (no. 21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args
from urllib.parse import urlencode

import msgspec

from douane.catalog.records import TaskStatus
from douane.imports.locations import LOCATION_IMPORT

from .errors import bad_request, quoted
from .requests.bounds import DEFAULT_PAGE
from .requests.filters import read_limit, read_marker, read_parameters

PATH = "/v2/tasks"
IMAGE_PAGE = 100
"""Tasks of one image: clients of Glance know no pages of them, and the last task is what they want."""
_STATUSES = get_args(TaskStatus)
_TYPES = {"location_import": LOCATION_IMPORT, "api_image_import": None}
_KNOWN = ("status", "type", "sort_key", "sort_dir", "limit", "marker")


class TaskListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page of tasks."""

    status: TaskStatus | None
    method: str | None
    descending: bool
    limit: int
    marker: str | None
    parameters: tuple[tuple[str, str], ...]
    """As the client sent them, without the marker, for the links."""

    def first(self) -> str:
        """The path of the first page."""
        return _link(self.parameters)

    def next(self, ids: Sequence[str]) -> str | None:
        """The path of the next page, or None if the page with these `ids` was not full."""
        if not ids or len(ids) < self.limit:
            return None
        return _link((*self.parameters, ("marker", ids[-1])))


def read_task_list(query_string: str) -> TaskListRequest:
    """The request in `query_string`. Raises HttpError 400."""
    parameters = read_parameters(query_string)
    fields: dict[str, Any] = {}
    for name, value in parameters:
        if name not in _KNOWN:
            raise bad_request(f"The parameter {quoted(name)} is not known; the parameters are {', '.join(_KNOWN)}.")
        if name in fields:
            raise bad_request(f"The parameter {quoted(name)} occurs more than once.")
        fields[name] = value
    for name, words in (("status", _STATUSES), ("type", tuple(_TYPES)), ("sort_dir", ("asc", "desc"))):
        if name in fields and fields[name] not in words:
            raise bad_request(
                f"The parameter '{name}' is {quoted(fields[name])}; one of {', '.join(words)} is expected."
            )
    if fields.get("sort_key", "created_at") != "created_at":
        raise bad_request("Tasks are sorted by created_at only.")
    return TaskListRequest(
        status=cast("TaskStatus | None", fields.get("status")),
        method=_TYPES.get(fields.get("type", "")),
        descending=fields.get("sort_dir", "desc") == "desc",
        limit=read_limit(fields.get("limit"), DEFAULT_PAGE),
        marker=read_marker(fields.get("marker"), "a task"),
        parameters=tuple((name, value) for name, value in parameters if name != "marker"),
    )


class ImageTasksRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page of the tasks of an image: the last ones, or those before the marker."""

    limit: int
    marker: str | None

    def next(self, image_id: str, ids: Sequence[str]) -> str | None:
        """The path of the page with the tasks before these `ids`, or None if the page was not full."""
        if not ids or len(ids) < self.limit:
            return None
        return f"/v2/images/{image_id}/tasks?{urlencode({'limit': self.limit, 'marker': ids[0]})}"


def read_image_tasks(query_string: str) -> ImageTasksRequest:
    """The request in `query_string`; other parameters mean nothing here, as in Glance. Raises HttpError 400."""
    fields = dict(read_parameters(query_string))
    return ImageTasksRequest(
        limit=read_limit(fields.get("limit"), IMAGE_PAGE), marker=read_marker(fields.get("marker"), "a task")
    )


def _link(parameters: Sequence[tuple[str, str]]) -> str:
    return f"{PATH}?{urlencode(parameters)}" if parameters else PATH
