"""What the tenant is answered when an image does not get in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape

from douane.engine import DouaneError, Report
from douane.errors import AgentError

_CODE = re.compile(r"[A-Za-z0-9._-]{1,100}")  # nothing that ends a header or begins another
_MOST_SECONDS = 365 * 24 * 3600.0


@dataclass(frozen=True)
class Refusal:
    """An HTTP status, a code for programs, and a sentence for the tenant; `retry_after` in seconds."""

    status: str
    code: str
    message: str
    retry_after: float | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The headers of the response. The code is in one of its own: the body is for people."""
        told = [
            ("Content-Type", "text/html; charset=UTF-8"),
            ("Content-Length", str(len(self.body()))),
            ("X-Douane-Code", self.code if _CODE.fullmatch(self.code) else "other"),
        ]
        if self.retry_after is not None and self.retry_after < _MOST_SECONDS:  # neither NaN nor infinity is
            told.append(("Retry-After", str(max(1, math.ceil(self.retry_after)))))
        return told

    def body(self) -> bytes:
        """As Glance writes its own errors, so that every client prints them the same way."""
        title = escape(self.status)
        sentence = escape(f"{self.message} ({self.code})")
        text = (
            f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
            f"  {sentence}<br /><br />\n\n\n </body>\n</html>"
        )
        return text.encode(errors="replace")


def refusal(report: Report | None, error: DouaneError | None) -> Refusal:
    """What follows from an inspection that did not accept: 4xx if it is the image's fault, 503 if it is nobody's."""
    if report is not None and report.outcome == "refused":
        return Refusal(
            "422 Unprocessable Entity",
            report.code or "refused",
            f"The image is refused: {report.message or 'it is not let in here'}",
        )
    if report is not None and report.retry_after is not None:
        return Refusal(
            "503 Service Unavailable",
            report.code or "deferred",
            f"The image cannot be checked now: {report.message or 'try again later'}",
            report.retry_after,
        )
    if report is None and isinstance(error, AgentError) and error.retry_after is not None:
        return Refusal(
            "503 Service Unavailable",
            error.code,
            "Too many images are being checked now, so this one is not let in. Try again later",
            error.retry_after,
        )
    code = (report.code if report is not None else error.code if error is not None else None) or "undecided"
    return Refusal(
        "503 Service Unavailable",
        code,
        "The image could not be checked, so it is not let in. That is a fault of this service, not of the image; "
        "nothing of it was kept. Try again later, or ask the operator",
    )
