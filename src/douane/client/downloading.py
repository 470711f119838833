"""The bytes of an image, downloaded as they are inspected."""

from __future__ import annotations

import http.client

from douane.errors import SourceError
from douane.stream.ring import Ring

from .http import Line
from .tokens import Access


class Download:
    """A :class:`~douane.stream.source.Source`: an answer that is read once."""

    def __init__(self, access: Access, path: str, name: str, size: int) -> None:
        """Request it. Raises SourceError."""
        self.name = name
        self.size: int | None = size
        self._line = Line(access.url(), access.ca_file)
        try:
            response = self._line.open(path, access.headers())
            if response.status == 401 and access.renew():
                self._line.close()
                response = self._line.open(path, access.headers())
            if response.status != http.HTTPStatus.OK:
                may = "; the token may not download it" if response.status == http.HTTPStatus.FORBIDDEN else ""
                raise SourceError(
                    f"{name} cannot be downloaded: the service answers with status {response.status}{may}",
                    code="not-downloaded",
                )
        except OSError as error:
            self._line.close()
            raise SourceError(f"{name} cannot be downloaded: {error}", code="not-downloaded") from error
        except BaseException:
            self._line.close()
            raise
        self._response = response

    def pump(self, ring: Ring) -> None:
        """See Source: exactly the bytes that the image has."""
        total = 0
        while True:
            place = ring.reserve()
            filled = self._fill(ring, place)
            total += filled
            if total > (self.size or 0):
                raise SourceError(f"{self.name} is longer than its {self.size} bytes", code="longer-than-announced")
            ring.publish(place, filled)
            if filled < ring.slot_bytes:
                break
        if total < (self.size or 0):
            raise SourceError(f"{self.name} ended after {total} of its {self.size} bytes", code="truncated")

    def _fill(self, ring: Ring, place: int) -> int:
        filled = 0
        while filled < ring.slot_bytes:
            with ring.view[place + filled : place + ring.slot_bytes] as view:
                try:
                    count = self._response.readinto(view)
                except (OSError, http.client.HTTPException) as error:
                    raise SourceError(f"{self.name} cannot be read: {error}", code="not-downloaded") from error
            if not count:
                break
            filled += count
        return filled

    def file(self) -> int | None:
        """None: the bytes can be read once only."""
        return None

    def close(self) -> None:
        """See Source."""
        self._line.close()
