"""The inspectors `yara` and `yara-stream`: YARA rules on the files in an image, and on its bytes.

`rules` compiles what the operator grants, `scanning` scans a file or a window.
"""

from __future__ import annotations

from douane.plugins._judgement import SEVERITIES, Judgement, check_unread
from douane.plugins._literal import Literal
from douane_plugin import Incomplete, Inspector
from douane_plugin._units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from douane_plugin import Image, ImageFile

    from .rules import CompiledRules
    from .scanning import Scanner

GRANT = "rules"
DOCUMENT = "yara"
OVERLAP = 1 << 20
"""Bytes that two windows have in common: what is longer is not matched across their border."""


class _YaraInspector(Inspector):
    _compiled: CompiledRules | None = None
    """Of the last image, for a process that serves several."""

    def __init__(
        self,
        severity: Literal["refuse", "warn", "note"] = "refuse",
        window: int | str = "32MiB",
        file_timeout: int = 20,
        max_matches: int = 10_000,
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        from .rules import compile_rules
        from .scanning import Scanner

        if severity not in SEVERITIES:
            raise ValueError(f"'severity' is one of {', '.join(SEVERITIES)}, not {severity!r:.60}")
        self.unread = check_unread(unread)
        self.window = parse_size(window, "window")
        if self.window < 4 * OVERLAP:
            raise ValueError(f"'window' is {4 * OVERLAP >> 20}MiB or more")
        if not 0 < file_timeout <= 3600:
            raise ValueError(f"'file_timeout' is 1 to 3600 seconds, not {file_timeout}")
        try:
            granted = self.grant(GRANT)
        except LookupError:
            raise ValueError(
                'grant the rules, a file or a folder: grants = { rules = "dir:/etc/douane/yara" }'
            ) from None
        self.rules = _YaraInspector._compiled = compile_rules(granted, _YaraInspector._compiled)
        self.severity = severity
        self.file_timeout, self.max_matches = file_timeout, max_matches
        self._scanner_class = Scanner

    def _begin(self) -> tuple[Judgement, Scanner]:
        judgement = Judgement(self, DOCUMENT, self.unread)
        scanner = self._scanner_class(
            self.rules, judgement, self.severity, timeout=self.file_timeout, max_matches=self.max_matches
        )
        return judgement, scanner

    def _answer(self, judgement: Judgement, **counts: int) -> dict[str, str | int]:
        return judgement.answer({"rules_sha256": self.rules.digest, **counts})


class Yara(_YaraInspector):
    """Refuse an image with files that match YARA rules.

    ``use = "yara"``. It reads the files in the image, each once.

    Configuration:

    ``severity`` (``"refuse"``; or ``"warn"``, ``"note"``)
        What a match means if its rule does not say so: the metadata ``severity`` of a rule has one of these words.
    ``window`` (int, or str such as ``"32MiB"``)
        Longer files are scanned in windows of this size, with 1 MiB in common.
    ``file_timeout`` (int, seconds; 20)
        For a file or window. One that takes longer was not looked at.
    ``max_matches`` (int; 10000)
        Matches of a pattern in a file, which the condition of a rule may count.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a part of the image could not be looked at.

    Grants: ``rules``, a file of rules (source, or compiled by YARA-X), or a folder with files ``*.yar``, ``*.yara``.

    Properties: ``rules_sha256``, ``files``, ``warnings``, ``notes``.

    Refuses with ``yara-match``.
    """

    reads = "files"

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        judgement, scanner = self._begin()
        count = 0
        for file in image.files():
            if file.kind != "file" or file.same_as is not None:
                continue
            count += 1
            try:
                self._scan(file, scanner)
            except Incomplete:
                continue  # it is in `unread`
        judgement.gaps(image.unread)
        return self._answer(judgement, files=count)

    def _scan(self, file: ImageFile, scanner: Scanner) -> None:
        scanner.begin_file(file.volume, file.path)
        for start, data in windows(file.data(), self.window):
            scanner.scan(data, start)


class YaraStream(_YaraInspector):
    """Refuse an image whose bytes match YARA rules: for what is in no file, such as a boot sector.

    ``use = "yara-stream"``. It reads the whole image in order, in windows with 1 MiB in common. A packed or compressed
    image shows nothing of what is in it.

    Configuration:

    ``severity`` (``"refuse"``; or ``"warn"``, ``"note"``)
        What a match means if its rule does not say so.
    ``window`` (int, or str such as ``"32MiB"``)
        The size of a window.
    ``file_timeout`` (int, seconds; 20)
        For a window. One that takes longer was not looked at.
    ``max_matches`` (int; 10000)
        Matches of a pattern in a window.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a window could not be looked at.

    Grants: ``rules``, as those of ``yara``.

    Properties: ``rules_sha256``, ``windows``, ``warnings``, ``notes``.

    Refuses with ``yara-match``.
    """

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        judgement, scanner = self._begin()
        scanner.begin_file("", "the image")
        count = 0
        for start, data in windows(((image.offset - len(chunk), chunk) for chunk in image), self.window):
            scanner.scan(data, start)
            count += 1
        return self._answer(judgement, windows=count)


def windows(pieces: Iterable[tuple[int, memoryview]], size: int) -> Iterator[tuple[int, bytes]]:
    """Windows of at least `size` bytes with `OVERLAP` in common, and the offsets at which they begin. A long hole
    between the pieces ends a window, so that it costs nothing. Raises what `pieces` raises, after what came before."""
    start, length, is_new = 0, 0, False
    parts: list[bytes] = []
    iterator, failure = iter(pieces), None
    while True:
        try:
            offset, piece = next(iterator)
        except StopIteration:
            break
        except Incomplete as error:
            failure = error
            break
        hole = offset - start - length
        if hole > OVERLAP:
            if is_new:
                yield start, b"".join(parts)
            start, length = offset, 0
            parts.clear()
        elif hole:
            parts.append(bytes(hole))
            length += hole
        parts.append(bytes(piece))  # most files are one piece, which `join` does not copy again
        length += len(piece)
        is_new = True
        if length >= size:
            window = b"".join(parts)
            yield start, window
            start += length - OVERLAP
            parts[:], length = [window[-OVERLAP:]], OVERLAP
            del window
            is_new = False
    if is_new:
        yield start, b"".join(parts)
    if failure is not None:
        raise failure
