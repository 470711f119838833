"""The filter for Glance's paste pipeline: what is uploaded or staged goes through the operator's plugins on its way in.

It knows Glance by its public HTTP API alone. It stands behind the filters that find out who asks, and before the API::

    [filter:douane]
    paste.filter_factory = douane.glance.filter:filter_factory
    config = /etc/douane/douane.toml
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from douane.engine import DouaneError, Report
from douane.engine.report import PropertyValue

from .body import InspectedBody, Inspecting, NotAccepted
from .doors import Door, door
from .gates import Declared, Gate, Passage, gate
from .inspected import Inspected, Records
from .metadata import NotReadable, declared_of, set_properties
from .refusal import Refusal, refusal
from .server_input import environ_with, input_of, length_of
from .settings import read
from .subrequest import Answer, App, call

log = logging.getLogger("douane")

StartResponse = Callable[..., Any]

_NEEDS_IMPORT = Refusal(
    "422 Unprocessable Entity",
    "needs-import",
    "This image would be changed on its way in (unpacked or converted), which an upload cannot do. Import it instead: "
    "`openstack image import`, or `openstack image create --import`",
)
_UNCHECKED = Refusal(
    "500 Internal Server Error",
    "unchecked",
    "The image service took this image without reading it to its end, so it has not been checked. Delete the image, "
    "and tell the operator",
)


def filter_factory(_global_conf: dict[str, str], **local_conf: str) -> Callable[[App], Filter]:
    """For paste.deploy. Raises PlanError or DouaneError, so that Glance does not start, if anything is wrong."""
    settings = read(local_conf)
    at = gate(settings)
    records = Records(settings.state) if settings.state is not None else None
    return lambda app: Filter(app, at, records, properties=settings.properties)


class Filter:
    """A WSGI application (PEP 3333) around Glance's."""

    def __init__(self, app: App, at: Gate, records: Records | None, *, properties: bool) -> None:
        self._app = app
        self._gate = at
        self._records = records
        self._properties = properties

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        at = door(environ)
        if at is None:
            return self._app(environ, start_response)
        answer = self._let_through(environ, at)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _let_through(self, environ: dict[str, Any], at: Door) -> Answer:
        try:
            declared = declared_of(self._app, environ, at)
        except NotReadable as error:
            return error.answer  # whoever may not see the image may not fill it either: Glance says why
        length = length_of(environ)
        upload = _Upload(self._gate, at, declared, length)
        body = InspectedBody(input_of(environ), length, upload.begin)
        answer = Answer()
        try:
            answer = call(self._app, environ_with(environ, body, length))
        except Exception:
            if upload.refusal is None:
                raise
        finally:
            body.end("the request was given up")
        if upload.refusal is not None:
            log.info("%s of image %s: %s", at.what, at.image, upload.refusal.message)
            return _answer(upload.refusal)
        if 200 <= answer.code < 300:
            if not body.whole or upload.report is None:
                log.critical("%s of image %s was taken without being read to its end: NOT CHECKED", at.what, at.image)
                return _answer(_UNCHECKED)
            self._keep(environ, at, upload.report)
        return answer

    def _keep(self, environ: dict[str, Any], at: Door, report: Report) -> None:
        """What was found goes on the image; and on this host stays known that these bytes were inspected."""
        wanted: dict[str, PropertyValue | None] = dict(report.properties) if self._properties else {}
        wanted |= {name: each.value for name, each in report.proposed.items()}
        wrong = set_properties(self._app, environ, at, wanted)
        if wrong is not None:
            log.error("what was found in image %s cannot be set on it: %s", at.image, wrong)
        if at.what == "stage" and self._records is not None:
            try:
                self._records.keep(at.image, Inspected.of(report, self._gate.digest))
            except OSError as error:
                log.error("image %s will be inspected again when it is imported: %s", at.image, error)


class _Upload:
    """One upload's inspection, and what came of it. Begun by the first byte that Glance asks for."""

    def __init__(self, at: Gate, through: Door, declared: Declared, length: int | None) -> None:
        self._gate = at
        self._door = through
        self._declared = declared
        self._length = length
        self._passage: Passage | None = None
        self.refusal: Refusal | None = None
        """What the tenant is to be answered; None as long as nothing speaks against the image."""

    @property
    def report(self) -> Report | None:
        """The report of an inspection that has come to its end."""
        return self._passage.report if self._passage is not None else None

    def begin(self) -> Inspecting:
        """Raises NotAccepted."""
        try:
            self._passage = self._gate.begin(self._declared, self._length, f"image {self._door.image}")
        except DouaneError as error:
            log.error("image %s cannot be inspected: %s", self._door.image, error)
            self.refusal = refusal(None, error)
            raise NotAccepted from error
        return self

    def write(self, data: bytes) -> None:
        """See :class:`Inspecting`."""
        assert self._passage is not None
        try:
            self._passage.write(data)
        except NotAccepted:
            self._refuse()
            raise

    def finish(self) -> None:
        """See :class:`Inspecting`."""
        assert self._passage is not None
        try:
            self._passage.finish()
        except NotAccepted:
            self._refuse()
            raise
        report = self._passage.report
        if report is None or (self._door.what == "file" and report.is_transformed):
            self.refusal = _NEEDS_IMPORT
            raise NotAccepted

    def abort(self, reason: str) -> None:
        """See :class:`Inspecting`."""
        if self._passage is not None:
            self._passage.abort(reason)

    def _refuse(self) -> None:
        assert self._passage is not None
        report, error = self._passage.report, self._passage.error
        self.refusal = refusal(report, error)
        if report is None or report.outcome != "refused":
            told = error if error is not None else report.message if report is not None else "no report"
            log.error("image %s could not be inspected: %s", self._door.image, told)


def _answer(refused: Refusal) -> Answer:
    return Answer(refused.status, refused.headers(), refused.body())
