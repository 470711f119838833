"""The inspection of one upload, from the first byte that Glance reads to the outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable

from douane.bills.kept import inventory_in
from douane.declared import DeclaredImage
from douane.engine import Report, RunEnded
from douane.errors import DouaneError
from douane.glance.backends import Backend, StreamInspection
from douane.glance.bills import keep_bill
from douane.glance.reasons import reason_of
from douane.glance.recovery import journal, uploads
from douane.glance.staged.tag import Tag
from douane.glance.store_drivers import end_unfinished_uploads
from douane.glance.summaries import keep_summary
from douane.plan.binding import Sender

from .body import NotAccepted
from .http_errors import HttpError, http_error
from .routes import Route

log = logging.getLogger("douane")

_NEEDS_IMPORT = HttpError(
    "422 Unprocessable Entity",
    "needs-import",
    "The plan would change this image (unpack or convert it), which an upload cannot do. Import it instead: "
    "`openstack image import`, or `openstack image create --import`",
)


class Upload:
    """One upload; see :class:`PieceInspector` for `write`, `finish` and `abort`."""

    def __init__(
        self,
        backend: Backend,
        route: Route,
        declared: DeclaredImage,
        length: int | None,
        tag: Tag | None,
        sender: Sender,
        *,
        summaries: str | None = None,
        bills: str | None = None,
    ) -> None:
        """The accepted bytes go into `tag`, by which an import recognises them. `summaries` and `bills` are the folders
        for signed summaries and for bills of materials, if there are any."""
        self._backend = backend
        self._route = route
        self._declared = declared
        self._length = length
        self._sender = sender
        self._summaries = summaries
        self._bills = bills
        self._inspection: StreamInspection | None = None
        self._entry: journal.Entry | None = None
        self._has_begun = False  # before that, the image may belong to another request
        self.tag = tag
        self.report: Report | None = None
        """None before the outcome, and if there is none."""
        self.refusal: HttpError | None = None
        """The response to the tenant; None as long as there is no objection to the image."""

    @property
    def plan_digest(self) -> str:
        """SHA-256 (hex) of the plan that the image goes through."""
        return self._inspection.plan_digest if self._inspection is not None else ""

    def begin(self) -> Upload:
        """Begin the inspection. Raises NotAccepted if it cannot begin."""
        self._has_begun = True
        self._entry = uploads.record(self._route.image, self._route.action)
        try:
            name = f"image {self._route.image}"
            self._inspection = self._backend.begin(self._declared, self._length, name, self._sender, self._route.image)
        except DouaneError as error:
            self._reject(None, error)
            raise NotAccepted from error
        return self

    def write(self, data: bytes) -> None:
        """See :class:`PieceInspector`."""
        assert self._inspection is not None
        try:
            self._inspection.write(data)
        except RunEnded:
            self._conclude(self._inspection.result)
            if self.refusal is None:
                self._reject(self.report, None)  # accepted before its end, which no engine does
            raise NotAccepted from None
        if self.tag is not None:
            self.tag.update(data)

    def finish(self) -> None:
        """See :class:`PieceInspector`."""
        assert self._inspection is not None
        self._conclude(self._inspection.finish)
        if self.report is None or self.report.outcome != "accepted":
            raise NotAccepted
        if self._route.action == "file" and self.report.is_transformed:
            self.refusal = _NEEDS_IMPORT
            raise NotAccepted
        if self._route.action == "file":
            self._keep_evidence(self.report)  # now: Glance makes the image active as soon as it has read the end

    def abort(self, reason: str) -> None:
        """See :class:`PieceInspector`."""
        if self._inspection is not None:
            self._inspection.abort(reason)

    def end(self, *, is_stored: bool, is_clean: bool = True) -> None:
        """The request is over, and Glance has stored the image if it `is_stored`. If it `is_clean`, Glance has deleted
        what is incomplete; what its store keeps all the same is deleted here."""
        if self._has_begun and is_clean and not is_stored and self._route.action == "file":
            end_unfinished_uploads(self._route.image)
        if self._entry is not None and is_clean:
            self._entry.close()
        elif self._entry is not None:
            self._entry.release()

    def _keep_evidence(self, report: Report) -> None:
        try:
            keep_bill(self._bills, self._route.image, inventory_in(report, self._route.image), self._backend.write_bill)
            keep_summary(self._summaries, self._route.image, report.summary)
        except DouaneError as error:
            self._reject(None, error)
            raise NotAccepted from error

    def _conclude(self, wait: Callable[[], Report]) -> None:
        try:
            self.report = wait()
        except DouaneError as error:
            self._reject(None, error)
        except Exception as error:  # a fault of the engine: the image was not inspected, so it is not let in
            log.exception("an inspection failed")
            self._reject(None, DouaneError(f"the inspection failed: {error!r}"))
        else:
            if self.report.outcome != "accepted":
                self._reject(self.report, None)

    def _reject(self, report: Report | None, error: DouaneError | None) -> None:
        self.refusal = http_error(reason_of(report, error))
        if report is None or report.outcome != "refused":
            message = report.message if report is not None else error
            log.error("image %.80r could not be inspected: %s", self._route.image, message)
