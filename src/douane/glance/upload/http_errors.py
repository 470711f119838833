"""The response to a tenant whose image is not let in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape

from douane.glance.outcome import Reason

from .api_client import Response

_CODE = re.compile(r"[A-Za-z0-9._-]{1,100}")  # nothing that ends a header or begins another
_MAX_SECONDS = 365 * 24 * 3600.0


@dataclass(frozen=True)
class HttpError:
    """An HTTP status, a code for programs, and a sentence for the tenant; `retry_after` in seconds."""

    status: str
    code: str
    message: str
    retry_after: float | None = None

    def response(self) -> Response:
        """The response, written as Glance writes its own errors, so that clients print it in the same way.

        The body is for people; programs find the code in the header ``X-Douane-Code``.
        """
        title = escape(self.status)
        sentence = escape(f"{self.message} ({self.code})", quote=False)  # clients print entities as they are
        text = (
            f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
            f"  {sentence}<br /><br />\n\n\n </body>\n</html>"
        )
        body = text.encode(errors="replace")
        headers = [
            ("Content-Type", "text/html; charset=UTF-8"),
            ("Content-Length", str(len(body))),
            ("X-Douane-Code", self.code if _CODE.fullmatch(self.code) else "other"),
        ]
        if self.retry_after is not None and self.retry_after < _MAX_SECONDS:  # False for NaN and infinity
            headers.append(("Retry-After", str(max(1, math.ceil(self.retry_after)))))
        return Response(self.status, headers, body)


def http_error(reason: Reason) -> HttpError:
    """422 if the image is refused, otherwise 500: then the image may be good.

    Not 503: after 503 (and in general 429) keystoneauth, and so openstackclient and openstacksdk, repeats the request
    when the image's file is at its end: it has no bytes then, and its error hides the reason. Nova and Cinder repeat a
    call after glanceclient's ServiceUnavailable, too. None of them repeats one after 500, and all show its body.
    """
    status = "422 Unprocessable Entity" if reason.outcome == "refused" else "500 Internal Server Error"
    return HttpError(status, reason.code, reason.message, reason.retry_after)


def bad_request(message: str, *, code: str | None = None) -> HttpError:
    """400: the request contradicts itself."""
    return HttpError("400 Bad Request", code or "wrong-request", message)
