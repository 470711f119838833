"""The inspector `packages`: lists of packages, the end of life of systems, and known vulnerabilities.

`versions` orders versions as each ecosystem does, `database` asks what `douane cve build` has made, `vulnerabilities`
compares, `judging` says what that means for the image.
"""

from __future__ import annotations

from typing import Any

from douane.plugins._judgement import ALLOW, SEVERITIES, WARN, Judgement
from douane.plugins._literal import Literal
from douane_plugin import Inspector

from .clock import day_number, today
from .judging import INCOMPLETE, Gaps, Rules, VulnerabilityJudge
from .lists import Entry, Exemption
from .schema import SEVERITIES as LEVELS
from .support_ends import support_end
from .systems import system_of_guest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import GuestPackage, GuestRoot, Image

    from .database import Database

GRANT = "cve"
DOCUMENT = "packages"
DENIED = "packages-denied"
NOT_ALLOWED = "packages-not-allowed"
END_OF_LIFE = "packages-end-of-life"
NO_PACKAGES = "packages-none"
NO_VERSION = "packages-no-version"
NEVER = "never"


class Packages(Inspector):
    """Refuse an image with packages that the site does not want, or that are known to be vulnerable.

    ``use = "packages"``. It reads the databases of packages of all systems in the image.

    Configuration:

    ``deny`` (list of names or tables, none)
        Packages that are refused. A table has ``name`` (with ``*``), ``version`` (``">= 1.0, < 2.0"``), ``kind``,
        ``origin`` (with ``*``), ``severity`` (``"refuse"``, ``"warn"``, ``"note"``), and ``reason`` for the tenant.
    ``allow`` (list of names or tables, none)
        If there is one: all other packages are refused.
    ``end_of_life`` (``"warn"``; or ``"refuse"``, ``"note"``, ``"allow"``)
        A system for which there are no security updates any more.
    ``support_ends`` (table, none)
        The last day of a system where it differs from the built-in table: ``{ "debian:11" = "2031-06-30" }``.
    ``refuse``, ``warn`` (``"critical"``, ``"high"``; or ``"low"``, ``"medium"``, ``"never"``)
        The severity from which a known vulnerability refuses the image, or warns the tenant.
    ``unfixed`` (``"warn"``; or ``"refuse"``, ``"allow"``)
        What a vulnerability may lead to as long as there is no version that has it fixed.
    ``unknown_severity`` (``"high"``; or ``"low"``, ``"medium"``, ``"critical"``)
        What a vulnerability counts as if no advisory tells its severity.
    ``exceptions`` (list of tables, none)
        ``id`` of a vulnerability or advisory, ``package`` (a name with ``*``, any), ``until`` (the last day),
        ``reason``.
    ``max_age`` (int, days; 7)
        With an older database of vulnerabilities the answer is incomplete. 0: any age.
    ``uncovered`` (``"incomplete"``; or ``"warn"``, ``"allow"``)
        The database has no advisories for a system, or for a language, of which there are packages.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        A part of the image that could not be read, and a system without a package.

    Grants: ``cve``, the database that ``douane cve build`` makes. Without it there are only the lists and the end of
    life.

    Properties: ``packages``, ``warnings``, ``notes``; with a database ``cve_date``, ``critical``, ``high``, ``medium``,
    ``low``, ``excepted``.

    Refuses with ``packages-denied``, ``packages-not-allowed``, ``packages-end-of-life``, ``packages-vulnerable``.
    """

    reads = "guest"

    def __init__(
        self,
        deny: list[Any] | None = None,
        allow: list[Any] | None = None,
        end_of_life: Literal["warn", "refuse", "note", "allow"] = "warn",
        support_ends: dict[str, str] | None = None,
        refuse: Literal["critical", "high", "medium", "low", "never"] = "critical",
        warn: Literal["high", "critical", "medium", "low", "never"] = "high",
        unfixed: Literal["warn", "refuse", "allow"] = "warn",
        unknown_severity: Literal["high", "critical", "medium", "low"] = "high",
        exceptions: list[Any] | None = None,
        max_age: int = 7,
        uncovered: Literal["incomplete", "warn", "allow"] = "incomplete",
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        levels = LEVELS[1:]
        _check("end_of_life", end_of_life, (*SEVERITIES, ALLOW))
        _check("refuse", refuse, (*levels, NEVER))
        _check("warn", warn, (*levels, NEVER))
        _check("unfixed", unfixed, ("refuse", WARN, ALLOW))
        _check("unknown_severity", unknown_severity, levels)
        _check("uncovered", uncovered, (INCOMPLETE, WARN, ALLOW))
        _check("unread", unread, (INCOMPLETE, WARN))
        if max_age < 0:
            raise ValueError(f"'max_age' is a number of days, not {max_age}")
        self.denied = [Entry(value, f"'deny', entry {number}") for number, value in enumerate(deny or (), 1)]
        self.allowed = [Entry(value, f"'allow', entry {number}") for number, value in enumerate(allow or (), 1)]
        self.end_of_life, self.support_ends = end_of_life, dict(support_ends or {})
        for system, day in self.support_ends.items():
            _check_day(f"'support_ends', {system}", day)
        exemptions = [
            Exemption(value, f"'exceptions', entry {number}") for number, value in enumerate(exceptions or (), 1)
        ]
        self.rules = Rules(refuse, warn, unfixed, unknown_severity, exemptions)
        self.max_age, self.uncovered, self.unread = max_age, uncovered, unread
        self.path = self._path_of_database()

    def _path_of_database(self) -> str | None:
        try:
            granted = self.grant(GRANT)
        except LookupError:
            return None
        try:
            path: str = granted.path
        except (LookupError, AttributeError):
            raise ValueError(
                "the database of vulnerabilities is a file with a path: "
                'grants = { cve = "file:/var/lib/douane/cve.sqlite" }'
            ) from None
        return path

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        day = today()
        judgement = Judgement(self, DOCUMENT)
        database = self._open(day)
        gaps = Gaps(judgement, self.unread, self.uncovered)
        judge = database and VulnerabilityJudge(self.rules, judgement, database, day, gaps)
        count = 0
        for root in image.guest.roots:
            packages = root.packages()
            count += len(packages)
            system = system_of_guest(root.os)
            if not packages:
                gaps.gap(NO_PACKAGES, root.volume.name, "the system has no database of packages")
            self._judge_support(judgement, root, system, day)
            for package in packages:
                self._judge_lists(judgement, gaps, root, package)
            if judge:
                judge.judge(root, system)
        if not image.guest.roots:
            gaps.gap(NO_PACKAGES, "the image", "no system is in it, whose packages could be listed")
        for part in image.guest.unread:
            gaps.gap(part.code, part.place, part.why)
        properties: dict[str, str | int] = {"packages": count}
        if judge:
            properties |= judge.finish()
            if judge.listed:
                self.attach("vulnerabilities", judge.document())
        return judgement.answer(properties)

    def _open(self, day: str) -> Database | None:
        if self.path is None:
            return None
        from .database import Database

        database = Database(self.path)
        if self.max_age:
            database.check_age(day, self.max_age)
        return database

    def _judge_support(self, judgement: Judgement, root: GuestRoot, system: str, day: str) -> None:
        end = support_end(system, self.support_ends)
        if end and day_number(end) < day_number(day) and self.end_of_life != ALLOW:
            title = root.os.get("PRETTY_NAME") or system
            sentence = f"{title:.100} has had no security updates since {end}; use a later version"
            judgement.match(self.end_of_life, END_OF_LIFE, root.volume.name, sentence, system=system, end=end)

    def _judge_lists(self, judgement: Judgement, gaps: Gaps, root: GuestRoot, package: GuestPackage) -> None:
        place, title = f"{root.volume.name}:{package.path}", f"{package.name} {package.version}"
        facts = {"package": package.name[:100], "version": package.version[:100], "kind": package.kind}
        try:
            for entry in self.denied:
                if entry.matches(package):
                    reason = f": {entry.reason}" if entry.reason else ""
                    sentence = f"the package {title:.200} is not allowed here{reason}; remove it"
                    judgement.match(entry.severity, DENIED, place, sentence, **facts)
            if self.allowed and not any(entry.matches(package) for entry in self.allowed):
                sentence = f"the package {title:.200} is not on the list of this site; remove it"
                judgement.match("refuse", NOT_ALLOWED, place, sentence, **facts)
        except ValueError as error:
            gaps.gap(NO_VERSION, place, f"{title:.200} cannot be compared with the list: {error}")


def _check(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"{name!r} is one of {', '.join(words)}, not {value!r:.60}")


def _check_day(place: str, day: object) -> None:
    try:
        day_number(str(day))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
