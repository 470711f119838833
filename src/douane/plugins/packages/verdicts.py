"""The verdict on an inventory, whether the image was read for it or an earlier answer has it."""

from __future__ import annotations

from typing import NamedTuple

from douane.plugins._judgement import ALLOW, WARN

from .clock import day_number
from .judging import ComponentJudge, Gaps, VulnerabilityJudge
from .support_ends import support_end
from .systems import system_of_guest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane.plugins._judgement import Judgement

    from .database import Database
    from .inventory import Inventory, Package, System
    from .settings import Settings

MATCHES = "packages"
"""The document with the matches and gaps."""

DENIED = "packages-denied"
NOT_ALLOWED = "packages-not-allowed"
END_OF_LIFE = "packages-end-of-life"
ENDS_SOON = "packages-end-of-life-soon"
NO_PACKAGES = "packages-none"
NO_VERSION = "packages-no-version"
UNCOMPARED = "uncompared"


class Listing(NamedTuple):
    """What the lists of the operator say of a package."""

    severity: str
    code: str
    sentence: str


class InventoryJudge:
    """Judges any number of inventories. What the lists and the database say of a package is asked once."""

    def __init__(self, settings: Settings, database: Database | None, day: str) -> None:
        self._settings, self._day = settings, day
        self._components = ComponentJudge(settings.rules, database, day) if database else None
        self._listed: dict[tuple[str, ...], list[Listing]] = {}

    def judge(
        self, inventory: Inventory, judgement: Judgement
    ) -> tuple[dict[str, str | int], VulnerabilityJudge | None]:
        """Record the matches and the gaps. The properties of an image that is accepted, and the vulnerabilities."""
        settings = self._settings
        gaps = Gaps(judgement, settings.unread, settings.uncovered)
        vulnerabilities = VulnerabilityJudge(self._components, judgement, gaps) if self._components else None
        for system in inventory.systems:
            if not system.packages:
                gaps.gap(NO_PACKAGES, system.volume, "the system has no database of packages")
            self._judge_support(judgement, system)
            if settings.denied or settings.allowed:
                for package in system.packages:
                    self._judge_lists(judgement, gaps, system.volume, package)
            if vulnerabilities:
                vulnerabilities.judge(system)
        if not inventory.systems:
            gaps.gap(NO_PACKAGES, "the image", "no system is in it, whose packages could be listed")
        for code, place, why in inventory.unread:
            gaps.gap(code, place, why)
        properties: dict[str, str | int] = {"packages": inventory.count()}
        return properties | (vulnerabilities.finish() if vulnerabilities else {}), vulnerabilities

    def _judge_support(self, judgement: Judgement, system: System) -> None:
        settings = self._settings
        name = system_of_guest(system.os)
        end = support_end(name, settings.support_ends)
        if not end:
            return
        title = system.os.get("PRETTY_NAME") or name
        days = day_number(end) - day_number(self._day)
        severity: str = settings.end_of_life
        if days < settings.end_of_life_margin:
            code = END_OF_LIFE
            period = (
                f"has had no security updates since {end}" if days < 0 else f"gets security updates until {end} only"
            )
        elif days < settings.end_of_life_notice:
            severity, code, period = WARN, ENDS_SOON, f"gets security updates until {end} only"
        else:
            return
        if settings.end_of_life != ALLOW:
            sentence = f"{title:.100} {period}; use a later version"
            judgement.match(severity, code, system.volume, sentence, system=name, end=end)

    def _judge_lists(self, judgement: Judgement, gaps: Gaps, volume: str, package: Package) -> None:
        key = package.name, package.version, package.kind, package.source, package.origin
        listed = self._listed.get(key)
        if listed is None:
            listed = self._listed[key] = self._lists(package)
        for severity, code, sentence in listed:
            place = f"{volume}:{package.path}"
            if severity == UNCOMPARED:
                gaps.gap(code, place, sentence)
                continue
            facts = {"package": package.name[:100], "version": package.version[:100], "kind": package.kind}
            judgement.match(severity, code, place, sentence, **facts)

    def _lists(self, package: Package) -> list[Listing]:
        title, settings = f"{package.name} {package.version}", self._settings
        listed: list[Listing] = []
        try:
            for entry in settings.denied:
                if entry.matches(package):
                    reason = f": {entry.reason}" if entry.reason else ""
                    sentence = f"the package {title:.200} is not allowed here{reason}; remove it"
                    listed.append(Listing(entry.severity, code=DENIED, sentence=sentence))
            if settings.allowed and not any(entry.matches(package) for entry in settings.allowed):
                sentence = f"the package {title:.200} is not on the list of this site; remove it"
                listed.append(Listing("refuse", code=NOT_ALLOWED, sentence=sentence))
        except ValueError as error:
            sentence = f"{title:.200} cannot be compared with the list: {error}"
            listed.append(Listing(UNCOMPARED, code=NO_VERSION, sentence=sentence))
        return listed
