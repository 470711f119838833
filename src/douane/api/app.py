"""The application: routes, and what happens with every request and every error."""

from __future__ import annotations

import traceback
from typing import Any

import falcon
from falcon.asgi import App, Request, Response

from douane.errors import DouaneError

from .documents.openapi import openapi_document
from .errors import HttpError, error_body, http_error, method_not_allowed, not_found
from .front import Front
from .middleware import RequestContext, Sender
from .requests.image_fields import ImageRules
from .routes import ROUTES
from .routes.versions import UnknownPath
from .service import Service


def make_app(service: Service) -> Front:
    """The ASGI application of a service."""
    middleware: Any = [RequestContext(service.metrics), Sender(service)]
    app: App[Request, Response] = App(middleware=middleware)
    app.req_options.auto_parse_form_urlencoded = False
    # An empty answer has no type: glanceclient would parse it.
    app.resp_options.default_media_type = None  # type: ignore[assignment]  # as its own answers without a body do
    # Without the properties of the site: whoever has no token reads it.
    service.openapi = openapi_document(ROUTES, ImageRules())
    for route in ROUTES:
        app.add_route(route.path, route.resource(service))
    app.add_sink(UnknownPath(service).answer, "/")
    app.add_error_handler(Exception, _answer_error)
    app.add_error_handler(falcon.HTTPError, _answer_error)  # falcon has a handler of its own for these
    return Front(app, service.options.silence)


async def _answer_error(req: Request, resp: Response, error: Exception, _params: dict[str, Any]) -> None:
    answer = as_http_error(error)
    req.context.error = answer
    resp.status = answer.status
    resp.data = error_body(answer)
    resp.text = resp.stream = None
    resp.content_type = answer.media_type
    for name, value in answer.headers.items():
        resp.set_header(name, value)


def as_http_error(error: Exception) -> HttpError:
    """The answer to a request that ended with `error`."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, DouaneError):
        return http_error(error)
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        # falcon adds its own OPTIONS at the end
        return method_not_allowed(error.headers["Allow"].removesuffix(", OPTIONS"))  # type: ignore[index]  # falcon sets it
    if isinstance(error, falcon.HTTPRouteNotFound):
        return not_found("There is no such path.")
    if isinstance(error, falcon.HTTPError):
        return HttpError(error.status_code, error.description or error.title or "The request cannot be understood.")
    # The operator's half of the answer: the client learns no more than the request's id.
    return http_error(DouaneError("".join(traceback.format_exception(error))))
