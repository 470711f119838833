"""The inspector `clamav`: the files in an image, through the virus scanner of the site.

`limits` reads what clamd scans at all, `probes` tries whether it tells what it skips, `session` speaks with it, and
`database` knows how old its signatures are. A stream of the image itself is worthless: clamd says OK of more than 2 GiB
without having looked.
"""

from __future__ import annotations

from douane.plugins._judgement import REFUSE, Judgement, check_unread
from douane.plugins._literal import Literal
from douane_plugin import Defer, Incomplete, Inspector
from douane_plugin._units import number_of

from .database import age_in_days
from .limits import parse_limits
from .probes import probes
from .session import Lost, Session, TooSlow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from douane_plugin import Image, ImageFile

KEPT_BYTES = 4 << 20
"""A file up to this length is kept in memory until its digest is known: the same content is scanned once."""

RETRY_SECONDS = 60
SKIPPED = {"Heuristics.Limits.Exceeded": "clamav-limits", "Heuristics.Encrypted": "clamav-encrypted"}
"""What clamd "finds" in what it has not scanned."""

SILENT = "clamav-silent"


class ClamAv(Inspector):
    """Refuse an image with files in which ClamAV finds a virus.

    ``use = "clamav"``. It sends the files in the image to a clamd, each content once.

    Configuration:

    ``max_database_age`` (int, days; 7)
        With older signatures the answer is incomplete. 0: any age.
    ``answer_timeout`` (int, seconds; 300)
        How long clamd may take without any answer.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a part of the image could not be looked at.

    Grants: ``clamd``, its socket; ``conf``, its configuration file, for its limits; ``known``, a list of SHA-256
    digests (lines as of ``sha256sum``) of files that need no scan.

    Properties: ``files``, ``scanned``, ``known``, ``engine``.

    Refuses with ``clamav-found``.
    """

    reads = "files"

    def __init__(
        self,
        max_database_age: int = 7,
        answer_timeout: int = 300,
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        if max_database_age < 0:
            raise ValueError(f"'max_database_age' is a number of days, not {max_database_age}")
        if not 0 < answer_timeout <= 86400:
            raise ValueError(f"'answer_timeout' is 1 to 86400 seconds, not {answer_timeout}")
        self.unread = check_unread(unread)
        self.max_database_age, self.answer_timeout = max_database_age, answer_timeout
        try:
            self.limits = parse_limits(self.grant("conf").read().decode("utf-8", "replace"))
        except LookupError:
            raise ValueError(
                'grant the configuration of clamd, which has its limits: conf = "file:/etc/clamav/clamd.conf"'
            ) from None
        try:
            self.clean_digests = _digests(self.grant("known"))
        except LookupError:
            self.clean_digests = frozenset()

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete, Defer."""
        try:
            return _Scan(self, image).run()
        except Lost as error:
            self.log.warning("clamd broke off the connection: %s", error)
            message = "the virus scanner broke off the connection; it may have been restarted"
            raise Defer(RETRY_SECONDS, message) from None
        except TooSlow:
            message = f"the virus scanner did not answer within {self.answer_timeout} s"
            raise Incomplete("clamav-slow", message) from None


class _Scan:
    """The scan of one image."""

    def __init__(self, plugin: ClamAv, image: Image) -> None:
        self._plugin = plugin
        self._image = image
        self._judgement = Judgement(plugin, "clamav", plugin.unread)
        self._session = Session(plugin.grant("clamd"), self._judge, plugin.alive, plugin.answer_timeout)
        self._places: dict[int, str] = {}
        self._expected: dict[int, tuple[str, str]] = {}
        """Of the probes, by number: the setting, and how the answer begins."""

        self._digests: set[str] = set()
        self._files = self._scanned = self._clean = 0

    def run(self) -> dict[str, str | int]:
        """See `ClamAv.inspect`."""
        engine = self._session.version()
        self._check_age(engine)
        for setting, (beginning, archive) in probes().items():
            self._expected[self._session.next_number] = setting, beginning
            self._session.scan([archive])
        for file in self._image.files():
            if file.kind == "file" and file.same_as is None and file.size:
                self._files += 1
                self._look_at(file)
        self._session.finish()
        self._judgement.gaps(self._image.unread)
        counts: dict[str, str | int] = {"files": self._files, "scanned": self._scanned, "known": self._clean}
        return self._judgement.answer({**counts, "engine": engine[:200]})

    def _check_age(self, engine: str) -> None:
        most = self._plugin.max_database_age
        if not most:
            return
        age = age_in_days(engine)
        if age is None or not -1 <= age <= most:
            state = "have no date" if age is None else f"are {number_of(round(age), 'day')} old"
            message = f"the signatures of the virus scanner {state}; they may be {number_of(most, 'day')} old"
            raise Incomplete("clamav-outdated", message)

    def _look_at(self, file: ImageFile) -> None:
        place = f"{file.volume}:{file.path}"
        limit = self._plugin.limits.file_bytes
        if file.size > limit:
            why = f"it has {file.size} bytes, and the virus scanner scans {limit}"
            if file.digest in self._plugin.clean_digests:
                self._clean += 1
            else:
                self._judgement.gap("clamav-too-large", place, why)
            return
        try:
            if file.size <= KEPT_BYTES:
                self._scan_once(file, place)
            else:
                self._send(place, file)
                self._remember(file.digest)
        except Incomplete:
            pass  # of a file that cannot be read whole, which is in `unread`

    def _scan_once(self, file: ImageFile, place: str) -> None:
        data = bytearray()
        try:
            for chunk in file:
                data += chunk
        except Incomplete:
            self._send(place, [data])  # what there is of it
            raise
        digest = file.digest
        if digest is not None and digest in self._plugin.clean_digests:
            self._clean += 1
        elif digest is None or digest not in self._digests:
            self._remember(digest)
            self._send(place, [data])

    def _remember(self, digest: str | None) -> None:
        """None is that of a file that could not be read whole: two of them are not the same."""
        if digest is not None:
            self._digests.add(digest)

    def _send(self, place: str, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        self._scanned += 1
        self._places[self._session.next_number] = place
        self._session.scan(chunks)

    def _judge(self, number: int, words: str) -> None:
        if probe := self._expected.pop(number, None):
            setting, beginning = probe
            if not words.startswith(beginning):
                why = f"set '{setting} yes' for it, and restart it; it says {words:.100}"
                raise Incomplete(SILENT, f"the virus scanner calls clean what it has not scanned: {why}")
            return
        place = self._places.pop(number)
        if words == "OK":
            return
        name = words.removesuffix(" FOUND")
        if name == words:
            self._judgement.gap("clamav-error", place, f"the virus scanner says: {words:.200}")
            return
        for prefix, code in SKIPPED.items():
            if name.startswith(prefix):
                self._judgement.gap(code, place, f"the virus scanner has not scanned all of it ({name})")
                return
        self._judgement.match(REFUSE, "clamav-found", place, f"the virus scanner found {name}", signature=name)


def _digests(file: object) -> frozenset[str]:
    text = file.read().decode("ascii", "replace")  # type: ignore[attr-defined]
    words = (line.split(None, 1)[0].lower() for line in text.splitlines() if line.strip())
    return frozenset(word for word in words if len(word) == 64)
