"""The filter for Glance's paste pipeline: it inspects images on their way into uploads and the staging area.

It uses Glance's public HTTP API. Its place is behind the filters that determine the user, and before the API::

    [filter:douane]
    paste.filter_factory = douane.glance.filter:filter_factory
    config = /etc/douane/douane.toml
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from douane.engine import Report

from . import internals
from .backends import Backend, open_backend
from .guard.import_guard import ImportGuard
from .image_metadata import reported_properties
from .proof.proof import Subject, make_proof
from .recovery.imports import recover, recover_once
from .settings import read_settings, share
from .staged.attestation import Attestation, Attestations
from .staged.tag import Tag
from .upload.api_client import App, Response, call, send
from .upload.body import InspectedBody
from .upload.http_errors import HttpError, bad_request
from .upload.image_api import NotReadable, Prover, declared_image, sender_of, set_properties
from .upload.inspected_upload import Upload
from .upload.routes import Route, disguise, import_route, upload_route
from .upload.wsgi_input import BadLength, announced_length, environ_with, is_chunked, open_input

log = logging.getLogger("douane")

StartResponse = Callable[..., Any]

_UNCHECKED = HttpError(
    "500 Internal Server Error",
    "unchecked",
    "The image service took this image though its check was not complete. Make sure that the image is deleted, and "
    "tell the operator",
)


def filter_factory(_global_conf: dict[str, str], **local_conf: str) -> Callable[[App], Filter]:
    """For paste.deploy. Raises PlanError or DouaneError if anything is wrong, so that Glance does not start."""
    settings = read_settings(local_conf)
    share(settings)
    backend = open_backend(settings)
    attestations = Attestations(settings.state) if settings.state is not None else None
    if attestations is not None:
        Tag()  # if tags cannot be computed, Glance does not start
    guard = ImportGuard() if settings.guard_imports else None
    key = settings.read_key()
    return lambda app: Filter(
        app,
        backend,
        attestations,
        properties=settings.properties,
        guard=guard,
        key=key,
        summaries=settings.summaries,
        bills=settings.bills,
    )


class Filter:
    """A WSGI application (PEP 3333) around Glance's."""

    def __init__(
        self,
        app: App,
        backend: Backend,
        attestations: Attestations | None,
        *,
        properties: bool,
        guard: ImportGuard | None = None,
        key: bytes | None = None,
        summaries: str | None = None,
        bills: str | None = None,
    ) -> None:
        """With `properties`, set those of the plugins on accepted images; with `key`, a proof of them. Without `guard`,
        let every import through. `summaries` and `bills` are the folders for signed summaries and for bills of
        materials, if there are any."""
        self._app = app
        self._backend = backend
        self._attestations = attestations
        self._properties = properties
        self._guard = guard
        self._key = key
        self._summaries = summaries
        self._bills = bills

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        recover_once()  # before anybody sees the images that a killed Glance left half-way
        if self._guard is not None:
            self._guard.check_pending_imports()
        response = self._response(environ)
        if response is None:
            return self._app(environ, start_response)
        start_response(response.status, response.headers)
        return [response.body]

    def _response(self, environ: dict[str, Any]) -> Response | None:
        """None for a request that Glance may have as it is."""
        problem = disguise(environ)
        if problem is not None:
            return bad_request(problem).response()
        route = upload_route(environ)
        if route is not None:
            return self._upload(environ, route)
        route = import_route(environ)
        if route is not None and self._guard is not None:
            return self._guard.handle(self._app, environ, route)
        return None

    def _upload(self, environ: dict[str, Any], route: Route) -> Response:
        recover()  # an image that could not be recovered before (the database was away) may be the one of this request
        try:
            length = announced_length(environ)
            declared = declared_image(self._app, environ, route, self._backend.plugins)
        except BadLength as error:
            return bad_request(str(error)).response()
        except NotReadable as error:
            return error.response  # who may not see the image may not fill it either: Glance says why
        tag = Tag() if route.action == "stage" and self._attestations is not None else None
        sender = sender_of(environ, route)
        upload = Upload(
            self._backend, route, declared, length, tag, sender, summaries=self._summaries, bills=self._bills
        )
        try:
            response = self._forward(environ, route, upload, length)
        except BaseException as error:
            # Glance does not clean up after SystemExit, for example.
            upload.end(is_stored=False, is_clean=isinstance(error, Exception))
            raise
        upload.end(is_stored=response.is_success)
        return response

    def _forward(self, environ: dict[str, Any], route: Route, upload: Upload, length: int | None) -> Response:
        body = InspectedBody(open_input(environ), length, upload.begin, is_chunked=is_chunked(environ))
        response = Response()
        try:
            body.read_if_empty()
            response = call(self._app, environ_with(environ, body))
        except Exception:
            if upload.refusal is None and body.length_error is None:
                raise  # otherwise it is NotAccepted, or what an application made of it
        finally:
            body.abandon("the request was given up")
        refusal = upload.refusal
        if body.length_error is not None:
            refusal = bad_request(f"The image is incomplete: {body.length_error}", code="wrong-length")
        if response.is_success:
            if refusal is not None or not body.is_complete or upload.report is None:
                return self._delete_unchecked(environ, route)
            self._keep_outcome(environ, route, upload)
        if refusal is not None:
            log.info("%s of image %.80r: %s", route.action, route.image, refusal.message)
            return refusal.response()
        return response

    def _delete_unchecked(self, environ: dict[str, Any], route: Route) -> Response:
        """Delete an image that Glance must not have: it swallowed the refusal, or did not read to the end.

        No known Glance does.
        """
        try:
            result = send(self._app, environ, "DELETE", route.path).status
        except Exception as error:  # whatever Glance raises: it is logged below, and the response is no success
            result = repr(error)
        log.critical(
            "%s of image %.80r was taken though its check was NOT COMPLETE; Glance's reply to its deletion: %s",
            route.action,
            route.image,
            result,
        )
        return _UNCHECKED.response()

    def _keep_outcome(self, environ: dict[str, Any], route: Route, upload: Upload) -> None:
        """Set the report's properties on the image, and attest on this host that the staged bytes were inspected."""
        assert upload.report is not None
        properties = reported_properties(upload.report, with_plugins=self._properties)
        plugins = self._backend.plugins if self._properties else frozenset()
        try:
            prove = self._prover(upload.report, plugins) if route.action == "file" else None
            problem = set_properties(self._app, environ, route, properties, plugins, prove)
        except Exception as error:  # whatever Glance raises: the upload has succeeded, and its response must say so
            problem = repr(error)
        if problem is not None:
            log.error("the properties of image %.80r cannot be set: %s", route.image, problem)
        if upload.tag is not None and self._attestations is not None:
            try:
                attestation = Attestation.of(upload.report, upload.plan_digest, upload.tag, route.image)
                self._attestations.save(route.image, attestation)
            except OSError as error:
                log.error("image %.80r will be inspected again when it is imported: %s", route.image, error)
            _clean(self._attestations)

    def _prover(self, report: Report, plugins: Collection[str]) -> Prover | None:
        """Makes the proof for an uploaded image, with the digest that Glance has taken."""
        key = self._key
        if key is None:
            return None

        def prove(image: Mapping[str, Any], properties: Mapping[str, str]) -> str | None:
            algorithm, digest = image.get("os_hash_algo"), image.get("os_hash_value")
            if not algorithm or not digest or report.stored.digests().get(algorithm, digest) != digest:
                log.error(
                    "image %.80r gets no proof: its %s is not that of the inspected bytes", image["id"], algorithm
                )
                return None
            return make_proof(key, Subject(image["id"], algorithm, digest, properties), plugins)

        return prove


def _clean(attestations: Attestations) -> None:
    """Delete what is in the folder `state` for images that were staged and never imported. Raises nothing."""
    try:
        attestations.delete_unneeded(internals.staging_folder())
    except ImportError:
        return  # outside of Glance
    except Exception as error:  # of a disk, of Glance's configuration: the image is staged all the same
        log.error("the folder `state` cannot be cleaned: %r", error)
