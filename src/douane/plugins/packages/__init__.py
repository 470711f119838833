"""The inspector `packages`: lists of packages, the end of life of systems, and known vulnerabilities.

`inventory` lists the packages of an image, `verdicts` judges such a list; `versions` orders versions as each ecosystem
does, `database` asks what `douane cve build` has made, `vulnerabilities` compares, `judging` says what that means.
`again` judges the inventory of an earlier answer.
"""

from __future__ import annotations

from typing import Any

from douane.plugins._judgement import ALLOW, SEVERITIES, WARN, Judgement
from douane.plugins._literal import Literal
from douane_plugin import Inspector

from .clock import day_number, today
from .inventory import DOCUMENT as INVENTORY
from .inventory import document_of, inventory_of
from .judging import INCOMPLETE, Rules
from .lists import Entry, Exemption
from .schema import SEVERITIES as LEVELS
from .verdicts import InventoryJudge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

    from .database import Database

GRANT = "cve"
DOCUMENT = "packages"
NEVER = "never"
ROOM = 36 << 10
"""Bytes of each list of the documents `packages` and `vulnerabilities`: with the inventory they fit into an answer."""


class Settings:
    """What the operator has configured, checked; the inspector explains it."""

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
        self.path = _path_of_database(self)


class Packages(Settings, Inspector):
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

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        day = today()
        judgement = Judgement(self, DOCUMENT, room=ROOM)
        judge = InventoryJudge(self, open_database(self.path, self.max_age, day), day)
        inventory = inventory_of(image.guest)
        self.attach(INVENTORY, document_of(inventory))
        properties, vulnerabilities = judge.judge(inventory, judgement)
        if vulnerabilities and vulnerabilities.listed:
            self.attach("vulnerabilities", vulnerabilities.document(ROOM))
        return judgement.answer(properties)


def open_database(path: str | None, max_age: int, day: str) -> Database | None:
    """The database; None if none is granted. Raises Incomplete."""
    if path is None:
        return None
    from .database import Database

    database = Database(path)
    if max_age:
        database.check_age(day, max_age)
    return database


def _path_of_database(plugin: Any) -> str | None:
    try:
        granted = plugin.grant(GRANT)
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


def _check(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ValueError(f"{name!r} is one of {', '.join(words)}, not {value!r:.60}")


def _check_day(place: str, day: object) -> None:
    try:
        day_number(str(day))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
