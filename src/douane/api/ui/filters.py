"""The filters of the list of imports: the query of ``/ui``, and the queries of its links."""

from __future__ import annotations

from typing import Literal, get_args
from urllib.parse import parse_qsl, urlencode

import msgspec

from douane.api.errors import bad_request, quoted
from douane.api.identity.rights import Identity
from douane.api.requests.bounds import NAME, QUERY_BYTES, QUERY_FIELDS
from douane.api.requests.identifiers import read_uuid
from douane.catalog.records import TaskStatus

State = Literal["", "waiting", "running", "accepted", "not-accepted"]
ImportOutcome = Literal["", "accepted", "refused", "undecided", "cancelled"]
STATES: dict[str, str] = {
    "": "all",
    "running": "running",
    "waiting": "waiting",
    "accepted": "accepted",
    "not-accepted": "not accepted",
}
OUTCOMES: dict[str, str] = {
    "": "all",
    "accepted": "accepted",
    "refused": "refused",
    "undecided": "undecided",
    "cancelled": "cancelled",
}
_STATUS: dict[str, TaskStatus] = {
    "running": "processing",
    "waiting": "pending",
    "accepted": "success",
    "not-accepted": "failure",
}
PAGE = 50


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows; an empty text is no filter."""

    state: State = ""
    outcome: ImportOutcome = ""
    code: str = ""
    text: str = ""
    project: str = ""
    """For administrators; others see their own project."""

    marker: str = ""
    """The last import of the page before."""

    @property
    def status(self) -> TaskStatus | None:
        """The status of tasks in the catalog."""
        return _STATUS.get(self.state)

    @property
    def are_set(self) -> bool:
        """True if the list does not show everything."""
        return any((self.state, self.outcome, self.code, self.text, self.project))

    def query(self, *, marker: str = "") -> str:
        """The query of the page with these filters, after the import `marker`; with its question mark."""
        fields = {**msgspec.structs.asdict(self), "marker": marker}
        text = urlencode({name: value for name, value in fields.items() if value})
        return f"?{text}" if text else ""


def read_filters(query: str, identity: Identity) -> Filters:
    """The filters in `query`. Raises HttpError 400, with a sentence for whoever wrote it."""
    if len(query) > QUERY_BYTES:
        raise bad_request(f"The query has more than {QUERY_BYTES} bytes.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS, errors="strict")
    except ValueError:
        raise bad_request("The query is not made of names and values in UTF-8.") from None
    fields: dict[str, str] = {}
    for name, raw in pairs:
        value = raw.strip()
        if name not in Filters.__struct_fields__:
            raise bad_request(f"There is no filter {quoted(name)}.")
        if len(value) > NAME or not value.isprintable():
            raise bad_request(f"The filter {name} is no text of at most {NAME} characters.")
        fields[name] = value
    for name, allowed in (("state", get_args(State)), ("outcome", get_args(ImportOutcome))):
        if fields.get(name, "") not in allowed:
            raise bad_request(f"The filter {name} is one of {', '.join(allowed[1:])}, not {quoted(fields[name])}.")
    if fields.get("marker") and read_uuid(fields["marker"]) is None:
        raise bad_request("The marker is no id of an import.")
    if not identity.is_admin:
        fields.pop("project", None)
    return msgspec.convert(fields, Filters)
