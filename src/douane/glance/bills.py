"""Bills of materials of accepted images: a file for each image, in a folder that the operator names.

They are made of the list of packages that the inspector `packages` has attached, where images are inspected: in a
sandbox of this process, or of the agent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from douane.bills.kept import InventoryRecord
from douane.durable import durable_file
from douane.errors import AgentError, DouaneError, EvidenceError

from .summaries import path_of

log = logging.getLogger("douane")

NOT_KEPT = "bill-not-kept"


def keep_bill(
    folder: str | None, image: str, inventory: InventoryRecord | str, write: Callable[[InventoryRecord, int], None]
) -> None:
    """Write the bill of the accepted `image` (an id) into `folder`, durably and in one step, as ``ID.cdx.json``.

    `write` writes that of the inventory into a new file, by its descriptor. If there is no inventory, but a sentence
    that says why, the bill of an earlier import of the image goes, which was about other bytes. Without a folder,
    nothing is done. Raises EvidenceError if the bill cannot be made or written: the image must not get in without what
    the operator asked for.
    """
    if folder is None:
        return
    path = path_of(folder, image, ".cdx.json")
    try:
        if isinstance(inventory, str):
            log.warning("image %s has no bill of materials: %s", image, inventory)
            path.unlink(missing_ok=True)
        else:
            # It lists what is in the image of a tenant: not for every user of this host.
            with durable_file(path, mode=0o640) as file:
                write(inventory, file.fileno())
    except OSError as error:
        message = f"the bill of materials of image {image} cannot be kept in {folder}: {error.strerror}"
        raise EvidenceError(message, code=NOT_KEPT) from error
    except DouaneError as error:
        if isinstance(error, AgentError) and error.retry_after is not None:
            raise  # the tenant reads when to come again
        message = f"the bill of materials of image {image} cannot be made: {error}"
        raise EvidenceError(message, code=NOT_KEPT) from error
