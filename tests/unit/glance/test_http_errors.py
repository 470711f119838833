"""The response to a tenant whose image is not let in."""

from __future__ import annotations

import math
import re

import pytest

from douane.errors import AgentError, DouaneError
from douane.glance.reasons import reason_of
from douane.glance.upload.http_errors import HttpError, http_error
from douane.report import Bytes, Report


def report(outcome: str, **fields: object) -> Report:
    no_bytes = Bytes(size=0, complete=False)
    required = {"verdicts": [], "received": no_bytes, "stored": no_bytes, "sandbox": "off", "seconds": 0.0}
    return Report(**{"outcome": outcome, **required, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["a\r\nSet-Cookie: x", "a\nb", "\u4e2d", "a b", "", "x" * 200, "\x00", "a:b\x85"])
def test_a_plugins_code_cannot_add_a_header(code: str) -> None:
    headers = HttpError("422 Unprocessable Entity", code, "no").response().headers
    assert ("X-Douane-Code", "other") in headers
    assert all(re.fullmatch(r"[\x20-\x7e]+", name + value) for name, value in headers)


@pytest.mark.parametrize(
    "message", ["<script>alert('x')</script> & \"", "\ud800", "\U0001f4a9" * 10_000, "\r\n\r\n", "\0"]
)
def test_a_message_is_escaped_and_counted(message: str) -> None:
    response = HttpError("422 Unprocessable Entity", "x", message).response()
    assert dict(response.headers)["Content-Length"] == str(len(response.body))
    assert b"<script" not in response.body
    response.body.decode()


def test_the_body_looks_like_an_error_of_glance() -> None:
    """glanceclient and openstacksdk cut the tags away and print the rest."""
    body = HttpError("422 Unprocessable Entity", "evil", "The image is refused: a < b").response().body.decode()
    assert re.sub(r"<[^>]*>|\s+", " ", body).split()[:3] == ["422", "Unprocessable", "Entity"]
    assert "The image is refused: a &lt; b (evil)<br />" in body


def test_quotation_marks_are_written_as_they_are() -> None:
    """No client turns an entity back into its character; outside of attributes (HTML 13.1.2) these need none."""
    message = "the property 'os_distro' is not \"debian\""
    assert f"{message} (x)" in HttpError("422 Unprocessable Entity", "x", message).response().body.decode()


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.1, "1"), (1.2, "2"), (60.0, "60"), (math.inf, None), (math.nan, None), (1e300, None)]
)
def test_retry_after_is_a_number_of_seconds_or_absent(seconds: float, header: str | None) -> None:
    reason = reason_of(report("undecided", code="deferred", message="later", retry_after=seconds), None)
    response = http_error(reason).response()
    assert (reason.outcome, response.code) == ("deferred", 500)
    assert dict(response.headers).get("Retry-After") == header


def test_a_busy_agent_defers_the_image() -> None:
    reason = reason_of(None, AgentError("too many images are being checked", code="busy", retry_after=300.0))
    response = http_error(reason).response()
    assert (reason.outcome, reason.code, dict(response.headers)["Retry-After"]) == ("deferred", "busy", "300")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (report("undecided", code="plugin-failed", message="format: Traceback /etc/x"), None),
        (None, DouaneError("cannot open /etc/x: Traceback")),
        (None, AgentError("OSError: /etc/x: Traceback", code="engine-failed")),
        (None, None),
    ],
)
def test_the_tenant_does_not_read_what_is_wrong_inside(outcome: Report | None, error: DouaneError | None) -> None:
    reason = reason_of(outcome, error)
    assert reason.outcome == "undecided"
    assert http_error(reason).status.startswith("500")
    assert "/etc" not in reason.message
    assert "Traceback" not in reason.message
    assert "fault of this service" in reason.message
