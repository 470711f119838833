"""A Glance image in memory, with the rules that an import plugin meets in Glance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TRANSITIONS = {
    "queued": ("importing",),
    "uploading": ("importing", "queued"),
    "importing": ("active", "queued"),
    "active": (),
}


class NotFound(Exception):
    """As glance.common.exception.NotFound is named."""


class TaskAbortedError(Exception):
    """As glance.common.exception.TaskAbortedError is named."""


class InvalidImageStatusTransition(Exception):
    """A status that cannot follow the current one."""


class FakeImage:
    """The attributes that the import plugin reads."""

    def __init__(self, **attributes: Any) -> None:
        self.name = "an image"
        self.owner = "a project"
        self.status = "importing"
        self.disk_format = "raw"
        self.container_format = "bare"
        self.size: int | None = None
        self.virtual_size: int | None = None
        self.extra_properties: dict[str, str] = {}
        self.__dict__.update(attributes)


class Action:
    """The changes that Glance's wrapper offers."""

    def __init__(self, image: FakeImage) -> None:
        self._image = image

    @property
    def image_status(self) -> str:
        return self._image.status

    def set_image_attribute(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            if name == "status":
                if value not in TRANSITIONS[self._image.status]:
                    raise InvalidImageStatusTransition(f"{self._image.status} to {value}")
                if value == "queued":
                    self._image.size = self._image.virtual_size = None
            setattr(self._image, name, value)

    def set_image_extra_properties(self, properties: dict[str, str]) -> None:
        self._image.extra_properties.update(properties)

    def pop_extra_property(self, name: str) -> None:
        self._image.extra_properties.pop(name, None)

    def add_failed_stores(self, stores: list[str]) -> None:
        self._image.extra_properties["os_glance_failed_import"] = ",".join(stores)

    def remove_importing_stores(self, stores: list[str]) -> None:
        self._image.extra_properties["os_glance_importing_to_stores"] = ""


class Wrapper:
    """The image in one import: loaded on entry, saved as a whole on exit. `on_save` may raise an error."""

    image_id = "5b9e7a86-0000-4000-8000-000000000000"

    def __init__(self, image: FakeImage, on_save: Callable[[FakeImage], None] = lambda image: None) -> None:
        self.image = image
        self.saves = 0
        self._on_save = on_save

    @contextmanager
    def _transaction(self) -> Iterator[Action]:
        loaded = copy.deepcopy(self.image)
        yield Action(loaded)
        self._on_save(loaded)
        self.image.__dict__.update(loaded.__dict__)
        self.saves += 1

    def __enter__(self) -> Action:
        self._current = self._transaction()
        return self._current.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._current.__exit__(*error)

    def get(self, image_id: str) -> FakeImage:
        """As a repository does."""
        assert image_id == self.image_id
        return copy.deepcopy(self.image)
