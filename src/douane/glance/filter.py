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

from douane.declared import DeclaredImage
from douane.engine import DouaneError, Report
from douane.report import PropertyValue

from . import journal
from .backends import Gate, Passage, gate
from .guard.import_guard import ImportGuard
from .image_metadata import NotReadable, declared_of, is_found, set_properties
from .outcome import OUTCOME_PROPERTIES
from .recovery import uploads
from .recovery.imports import recover, recover_once
from .settings import read, tell
from .staged.attestation import Inspected, Records
from .staged.tag import Tag
from .upload.api_client import Answer, App, ask, call
from .upload.body import InspectedBody, Inspecting, NotAccepted
from .upload.http_errors import Refusal, refusal
from .upload.routes import Door, disguise, door, import_door
from .upload.wsgi_input import BadLength, environ_with, input_of, is_chunked, length_of

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
    "The image service took this image though it was not checked to its end. Make sure that the image is deleted, "
    "and tell the operator",
)


def filter_factory(_global_conf: dict[str, str], **local_conf: str) -> Callable[[App], Filter]:
    """For paste.deploy. Raises PlanError or DouaneError, so that Glance does not start, if anything is wrong."""
    settings = read(local_conf)
    tell(settings)
    at = gate(settings)
    records = Records(settings.state) if settings.state is not None else None
    if records is not None:
        Tag()  # where that cannot be made, Glance does not start
    guard = ImportGuard() if settings.imports else None
    return lambda app: Filter(app, at, records, properties=settings.properties, guard=guard)


class Filter:
    """A WSGI application (PEP 3333) around Glance's."""

    def __init__(
        self, app: App, at: Gate, records: Records | None, *, properties: bool, guard: ImportGuard | None = None
    ) -> None:
        self._app = app
        self._guard = guard
        self._gate = at
        self._records = records
        self._properties = properties

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        recover_once()  # of what a Glance that was killed left: before anybody sees it
        disguised = disguise(environ)
        at = door(environ)
        if disguised is not None:
            answer = _answer(Refusal("400 Bad Request", "wrong-request", disguised))
        elif at is not None:
            answer = self._let_through(environ, at)
        elif self._guard is not None and (begun := import_door(environ)) is not None:
            answer = self._guard.answer(self._app, environ, begun)
        else:
            return self._app(environ, start_response)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _let_through(self, environ: dict[str, Any], at: Door) -> Answer:
        recover()  # what could not be set right before, as the database was away: this may be the next try for it
        try:
            length = length_of(environ)
            declared = declared_of(self._app, environ, at, self._gate.plugins)
        except BadLength as error:
            return _answer(Refusal("400 Bad Request", "wrong-request", str(error)))
        except NotReadable as error:
            return error.answer  # whoever may not see the image may not fill it either: Glance says why
        tag = Tag() if at.what == "stage" and self._records is not None else None
        upload = _Upload(self._gate, at, declared, length, tag)
        try:
            answer = self._take(environ, at, upload, length)
        except BaseException as error:
            upload.end(is_clean=isinstance(error, Exception))  # of others (SystemExit) Glance does not clean up
            raise
        upload.end()
        return answer

    def _take(self, environ: dict[str, Any], at: Door, upload: _Upload, length: int | None) -> Answer:
        body = InspectedBody(input_of(environ), length, upload.begin, is_chunked=is_chunked(environ))
        answer = Answer()
        try:
            body.settle()
            answer = call(self._app, environ_with(environ, body))
        except Exception:
            if upload.refusal is None and body.wrong is None:
                raise
        finally:
            body.end("the request was given up")
        refused = upload.refusal
        if body.wrong is not None:
            refused = Refusal("400 Bad Request", "wrong-length", f"The image is not whole: {body.wrong}")
        if 200 <= answer.code < 300:
            if refused is not None or not body.whole or upload.passage is None or upload.passage.report is None:
                return self._take_back(environ, at)
            self._keep(environ, at, upload.passage.report, upload.passage.digest, upload.tag)
        if refused is not None:
            log.info("%s of image %.80r: %s", at.what, at.image, refused.message)
            return _answer(refused)
        return answer

    def _take_back(self, environ: dict[str, Any], at: Door) -> Answer:
        """Glance has taken what it must not have: it swallowed the refusal, or did not read to the end. It cannot as it
        is known; should it ever, the image goes."""
        try:
            outcome = ask(self._app, environ, "DELETE", at.path).status
        except Exception as error:  # it is said below, and the answer stays no success
            outcome = repr(error)
        log.critical(
            "%s of image %.80r was taken though it was NOT CHECKED to its end; Glance, told to delete it, says: %s",
            at.what,
            at.image,
            outcome,
        )
        return _answer(_UNCHECKED)

    def _keep(self, environ: dict[str, Any], at: Door, report: Report, plan: str, tag: Tag | None) -> None:
        """What was found goes on the image; and on this host stays known that these bytes were inspected."""
        wanted: dict[str, PropertyValue | None] = dict(report.properties) if self._properties else {}
        wanted |= {name: each.value for name, each in report.proposed.items()}
        wanted |= dict.fromkeys(OUTCOME_PROPERTIES)  # of an import before this one
        plugins = self._gate.plugins if self._properties else frozenset()
        try:
            wrong = set_properties(self._app, environ, at, wanted, lambda name: is_found(name, plugins))
        except Exception as error:  # Glance's answer to the upload, which is in, must not turn into an error
            wrong = repr(error)
        if wrong is not None:
            log.error("what was found in image %.80r cannot be set on it: %s", at.image, wrong)
        if tag is not None and self._records is not None:
            try:
                self._records.keep(at.image, Inspected.of(report, plan, tag))
            except OSError as error:
                log.error("image %.80r will be inspected again when it is imported: %s", at.image, error)


class _Upload:
    """One upload's inspection, and what came of it. Begun by the first byte that Glance asks for."""

    def __init__(self, at: Gate, through: Door, declared: DeclaredImage, length: int | None, tag: Tag | None) -> None:
        """What comes in is put into `tag`, by which an import is to know it again."""
        self._gate = at
        self._door = through
        self._declared = declared
        self._length = length
        self.tag = tag
        self.passage: Passage | None = None
        """The inspection, when it has begun."""
        self.refusal: Refusal | None = None
        """What the tenant is to be answered; None as long as nothing speaks against the image."""
        self._entry: journal.Entry | None = None

    def begin(self) -> Inspecting:
        """Raises NotAccepted."""
        self._entry = uploads.begin(self._door.image, self._door.what)
        name = f"image {self._door.image}"
        try:
            self.passage = self._gate.begin(self._declared, self._length, name)
        except DouaneError as error:
            log.error("image %.80r cannot be inspected: %s", self._door.image, error)
            self.refusal = refusal(None, error)
            raise NotAccepted from error
        return self

    def write(self, data: bytes) -> None:
        """See :class:`Inspecting`."""
        assert self.passage is not None
        try:
            self.passage.write(data)
        except NotAccepted:
            self._refuse()
            raise
        if self.tag is not None:
            self.tag.update(data)

    def finish(self) -> None:
        """See :class:`Inspecting`."""
        assert self.passage is not None
        try:
            self.passage.finish()
        except NotAccepted:
            self._refuse()
            raise
        report = self.passage.report
        if report is None or (self._door.what == "file" and report.is_transformed):
            self.refusal = _NEEDS_IMPORT
            raise NotAccepted

    def abort(self, reason: str) -> None:
        """See :class:`Inspecting`."""
        if self.passage is not None:
            self.passage.abort(reason)

    def end(self, *, is_clean: bool = True) -> None:
        """The request is over; if it `is_clean`, Glance has nothing of it that is not whole."""
        if self._entry is not None and is_clean:
            self._entry.end()
        elif self._entry is not None:
            self._entry.leave()

    def _refuse(self) -> None:
        assert self.passage is not None
        report, error = self.passage.report, self.passage.error
        self.refusal = refusal(report, error)
        if report is None or report.outcome != "refused":
            told = error if error is not None else report.message if report is not None else "no report"
            log.error("image %.80r could not be inspected: %s", self._door.image, told)


def _answer(refused: Refusal) -> Answer:
    return Answer(refused.status, refused.headers(), refused.body())
