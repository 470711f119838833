"""The parts of an answer that a plugin gathers before it answers: properties, proposals, documents."""

from __future__ import annotations

from . import wire
from ._json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AnswerParts:
    """`properties` are those that a transform states by ``image.becomes``."""

    def __init__(self) -> None:
        self.properties: dict[str, Any] = {}
        self._proposed: dict[str, Any] = {}
        self._documents: dict[str, Any] = {}

    def propose(self, name: str, value: Any) -> None:
        """Note a property of the image. Raises ValueError if there are too many."""
        self._proposed[name] = value
        if len(self._proposed) > wire.MAX_PROPERTIES:
            raise ValueError(f"at most {wire.MAX_PROPERTIES} properties can be proposed")

    def attach(self, name: str, document: Any) -> None:
        """Note a document. Raises ValueError if it is not JSON, or if the documents are too many."""
        documents = {**self._documents, name: document}
        try:
            text = dumps(documents)
        except (TypeError, RecursionError) as error:
            raise ValueError(f"the document {name!r} cannot be sent: {error}") from None
        if len(documents) > wire.MAX_DOCUMENTS or len(text) > wire.MAX_DOCUMENTS_BYTES:
            raise ValueError(
                f"with {name!r}, the documents are {len(documents)} of {len(text)} bytes; at most {wire.MAX_DOCUMENTS} "
                f"of {wire.MAX_DOCUMENTS_BYTES} bytes together are allowed"
            )
        self._documents = loads(text)  # a copy: the plugin may go on with its objects

    def accept(self, properties: dict[str, Any], *, unread: bool = False) -> dict[str, Any]:
        """Return the ACCEPT frame with `properties`. `unread`: the plugin has been shown all unread parts of files."""
        frame: dict[str, Any] = {"properties": properties}
        if unread:
            frame["unread"] = True
        if self._proposed:
            frame["proposed"] = self._proposed
        return frame

    def add_documents(self, frame: dict[str, Any]) -> None:
        """Add the documents to the frame of an answer, whichever it is."""
        if self._documents:
            frame["documents"] = self._documents


def inspected_properties(answer: Any) -> dict[str, Any]:
    """Return what `inspect` returned as properties. Raises TypeError."""
    if answer is None:
        return {}
    if not hasattr(answer, "keys"):
        raise TypeError(
            f"inspect() returned {answer!r:.60}; return None or a mapping of properties to accept, "
            "raise Reject to refuse"
        )
    return dict(answer)
