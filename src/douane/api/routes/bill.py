"""``/v2/images/{id}/sbom``: the bill of materials of an image, by the list of packages that its import kept."""

from __future__ import annotations

import contextlib
import os

from falcon.asgi import Request, Response

from douane.api.identity.rights import Identity
from douane.api.transfer.downloading import ImageStream
from douane.bills.kept import InventoryRecord, kept_inventory, write_kept_bill
from douane.bills.writer import MEDIA_TYPE
from douane.engine import RunOptions
from douane.stores.stored_file import StoredFile
from douane.stream.sink import TempSink

from .base import Resource, answer_empty, identity_of


class Sbom(Resource):
    """The bill of materials of an image."""

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """The bill in CycloneDX, for whoever sees the image; 404 if its import kept no list of packages."""
        record = await self.service.pool.run(self._find, identity_of(req), image_id)
        bill = await self.service.bills.run(self._write, record)
        answer_empty(resp, 200, {"Content-Type": MEDIA_TYPE, "Content-Length": str(bill.size)})
        resp.stream = ImageStream(self.service.io, bill, 0, bill.size, req.context.body, self.service.downloads)

    def _find(self, identity: Identity, image_id: str) -> InventoryRecord:
        image, _ = self.service.visible(identity, image_id)
        return kept_inventory(image, self.service.catalog.accepted_imports([image.id]).get(image.id, []))

    def _write(self, record: InventoryRecord) -> StoredFile:
        """The bill in a temporary file, which the caller closes."""
        served = self.service.served
        with contextlib.closing(TempSink("as a bill of materials")) as file:
            try:
                with open(os.dup(file.fd), "w", encoding="utf-8") as output:
                    write_kept_bill(record, output, RunOptions(tier=served.tier if served else None))
            except OSError as error:
                raise file.explain(error) from error
            return StoredFile(file.open_read(), file.name)
