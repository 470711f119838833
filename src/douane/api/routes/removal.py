"""Delete the bytes of an image that the catalog no longer has, or no longer has in a store."""

from __future__ import annotations

import logging

from douane.api.service import Service
from douane.catalog import Image
from douane.errors import DouaneError

log = logging.getLogger("douane.api")


def delete_bytes(service: Service, image: Image) -> None:
    """Delete the bytes of a deleted image in all its stores. What fails is logged; the clean-up tries again."""
    for store_id in image.stores:
        try:
            if store_id in service.stores:
                service.stores[store_id].delete(image.id)
                service.catalog.remove_store(image.id, store_id)
        except DouaneError as error:
            log.error("the bytes of the deleted image %s stay in the store %s: %s", image.id, store_id, error)
