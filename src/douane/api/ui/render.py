"""HTML of the pages: Jinja2 templates that escape every value."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from douane.api.identity.rights import Identity

from .detail import ImportDetail
from .filters import OUTCOMES, STATES, Filters
from .rows import ImportRow

HEADERS: dict[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page: nothing from other hosts, no script or style inside of a page, and no copy of it anywhere."""

STATIC_TYPES = {
    "ui.css": "text/css; charset=utf-8",
    "ui.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
SYMBOLS = {
    "accepted": "✓",
    "refused": "✕",
    "undecided": "?",
    "cancelled": "■",
    "running": "▶",
    "waiting": "…",
    "stopped": "■",
    "deferred": "…",
    "incomplete": "?",
    "failed": "!",
    "timeout": "!",
}
"""A state is never told by its colour alone."""


def list_page(
    identity: Identity, rows: Sequence[ImportRow], filters: Filters, *, following: str | None, login: bool
) -> str:
    """The list of imports; `following` is the query of the next page. `login`: the identity has a session to end."""
    return _render(
        "list.html",
        identity=identity,
        rows=rows,
        filters=filters,
        states=STATES,
        outcomes=OUTCOMES,
        following=following,
        is_live=not filters.marker or any(not row.is_over for row in rows),
        login=login,
    )


def import_page(identity: Identity, detail: ImportDetail, *, login: bool) -> str:
    """The page of one import."""
    return _render("import.html", identity=identity, detail=detail, is_live=not detail.row.is_over, login=login)


def login_page(problem: str = "") -> str:
    """The form that takes a token."""
    return _render("login.html", identity=None, problem=problem, is_live=False, login=False)


def error_page(title: str, message: str, request_id: str) -> str:
    """An error, in the words of the API."""
    return _render(
        "error.html", identity=None, title=title, message=message, request_id=request_id, is_live=False, login=False
    )


@functools.cache
def static_file(name: str) -> bytes:
    """The content of a file beside the pages; `name` is a key of `STATIC_TYPES`."""
    return (files(__package__) / "static" / name).read_bytes()


def visible_text(value: object) -> str:
    """Text of a tenant or a plugin without characters that would move or hide what stands around it."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in str(value))


def _finalize(value: object) -> object:
    return visible_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(str(__package__)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_finalize,
    )
    environment.globals["symbols"] = SYMBOLS
    return environment


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)
