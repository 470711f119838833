"""What the resources of the API need: the catalog, the stores, and what the operator decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import msgspec

from douane.catalog import Catalog, Image, Task
from douane.catalog.query import UploadQuotas
from douane.engine.served_plan import ServedPlan
from douane.errors import NotFound
from douane.imports.service_stores import Stores
from douane.imports.settings import ServeSettings

from .documents.records import Document, ImageView, image_document
from .identity.auth import Authenticator
from .identity.rights import Identity, ImageAccess, image_access, no_image, require_view
from .metrics import Metrics
from .pool import Pool
from .requests.bounds import NAME
from .requests.identifiers import read_uuid
from .requests.image_fields import ImageRules
from .requests.import_request import METHODS
from .transfer.downloading import Downloads
from .transfer.uploads import UploadPlace, Uploads


@dataclass(frozen=True, kw_only=True)
class ApiOptions:
    """What the operator decided about the API."""

    public_endpoint: str | None = None
    trusts_proxy: bool = False
    """True: the headers X-Forwarded-Proto and X-Forwarded-Host are those of a proxy of the operator."""

    methods: tuple[str, ...] = METHODS
    rules: ImageRules = field(default_factory=ImageRules)
    image_count: int | None = None
    """Images that a project may have; None: unlimited."""

    upload_quotas: UploadQuotas | None = None
    staging_stores: tuple[str, ...] = ()
    """The stores that staged bytes are written into as they come; empty: the default store."""

    max_image_size: int | None = None
    """Bytes; None: unlimited."""

    open_seconds: float = 24 * 3600.0
    """Seconds that an upload stays open after a byte, for its client to go on with."""

    task_expiry: float = 48 * 3600.0
    """Seconds that the record of a task is kept."""

    shows_findings: bool = False
    silence: float = 60.0
    """Seconds that a client may send nothing of a body."""


class Service:
    """One image service. Its methods use the database: call them in the pool."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        stores: Stores,
        authenticator: Authenticator,
        options: ApiOptions | None = None,
        served: ServedPlan | None = None,
        place: UploadPlace | None = None,
        settings: ServeSettings | None = None,
        stop_file: Path | None = None,
    ) -> None:
        """`served` is the plan, `place` says where uploads go; without them, nothing can be uploaded or imported."""
        self.catalog = catalog
        self.stores = stores
        self.authenticator = authenticator
        self.settings = settings
        self._stop_file = stop_file
        self.options = options or ApiOptions()
        self.rules = self.options.rules
        """The operator's rules for images, with the names of the plan's plugins."""

        self.openapi: Document = {}
        """The description of the API, which the application sets."""

        self.served: ServedPlan | None = None
        self.pool = Pool()
        """For the database and for tokens."""

        self.uploading = Pool()
        """For the tasks of uploads. Where many begin at once, each waits for the others' transactions; other calls must
        not."""

        self.io = Pool()
        """For the bytes of images: a slow store does not hold up the others."""

        self.bills = Pool(threads=1, waiting=32)
        """For bills of materials, each of which takes a sandbox."""

        self.downloads = Downloads()
        self.draining = Event()
        """Set when the process is about to end: load balancers send new requests elsewhere."""

        self.metrics = Metrics(catalog, settings.worker_count if settings is not None else 0)
        self.uploads = None if place is None else Uploads(catalog, place, self.uploading, self.io, self.metrics)
        if served is not None:
            self.use_plan(served)

    def use_plan(self, served: ServedPlan) -> None:
        """Serve this plan from now on."""
        self.rules = msgspec.structs.replace(self.options.rules, plugins=frozenset(served.facts.plugins))
        self.served = served

    async def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        """Who sends a request; names of `headers` are in lower case. Raises HttpError 401, 403 or 503."""
        authenticator = self.authenticator
        if authenticator.waits:
            return await self.pool.run(authenticator.identify, headers, method, path)
        return authenticator.identify(headers, method, path)

    def imports_are_stopped(self) -> bool:
        """True while the operator's switch is there: a file, `stop_file`."""
        return self._stop_file is not None and self._stop_file.exists()

    def close(self) -> None:
        """Wait for the calls that run, and close the catalog. Idempotent."""
        for pool in (self.pool, self.uploading, self.io, self.bills):
            pool.close()
        self.catalog.close()

    def visible(self, identity: Identity, image_id: str) -> tuple[Image, ImageAccess]:
        """The image, if the identity may see it. Raises HttpError 404 if not, and for an id that is no UUID."""
        key = read_uuid(image_id)
        if key is None:
            raise no_image(image_id[:NAME])
        try:
            image = self.catalog.image(key)
        except NotFound:
            raise no_image(key) from None
        access = image_access(image, is_member=self._is_member(identity, image))
        if image.status == "deleted":
            raise no_image(key)
        require_view(identity, access)
        return image, access

    def document(self, image: Image) -> Document:
        """The image as clients see it."""
        return self.documents([image])[0]

    def documents(self, images: Sequence[Image]) -> list[Document]:
        """The images as clients see them. Their tasks are one question to the catalog, however many they are."""
        with_task = [image.id for image in images if image.task_id is not None or image.code is not None]
        last = self.catalog.last_tasks(with_task) if with_task else {}
        return [image_document(image, self._view(image, last.get(image.id))) for image in images]

    def _view(self, image: Image, last: Task | None) -> ImageView:
        """`last` is the task that was requested last, also if it has ended; while bytes are staged, it is an older
        one."""
        was_refused = image.code is None or (last is not None and last.outcome == "refused")
        return ImageView(
            task=last if last is not None and last.id == image.task_id else None,
            outcome="refused" if was_refused else "undecided",
            default_store=self.stores.default.id,
            findings=self.options.shows_findings,
        )

    def _is_member(self, identity: Identity, image: Image) -> bool:
        if identity.project_id is None or image.visibility != "shared" or image.owner == identity.project_id:
            return False
        return any(member.project == identity.project_id for member in self.catalog.members(image.id))
