"""The inspector `packages`: lists of packages, the end of life of systems, and known vulnerabilities.

`settings` checks what is configured; `inventory` lists the packages of an image, `verdicts` judges such a list;
`versions` orders versions as each ecosystem does, `database` asks what `douane cve build` has made, `vulnerabilities`
compares, `judging` says what that means. `again` judges the inventory of an earlier answer.
"""

from __future__ import annotations

from douane.plugins._judgement import Judgement
from douane_plugin import Inspector

from .clock import today
from .inventory import DOCUMENT as INVENTORY
from .inventory import document_of, inventory_of
from .settings import Settings, open_database
from .verdicts import MATCHES, InventoryJudge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

ROOM = 36 << 10
"""Bytes of each list of the documents `packages` and `vulnerabilities`: with the inventory they fit into an answer."""


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
    ``end_of_life_margin``, ``end_of_life_notice`` (int, days; 0)
        A system counts as one without updates so many days before their end; the tenant is warned so many days before.
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
        judgement = Judgement(self, MATCHES, room=ROOM)
        judge = InventoryJudge(self, open_database(self.path, self.max_age, day), day)
        inventory = inventory_of(image.guest)
        self.attach(INVENTORY, document_of(inventory))
        properties, vulnerabilities = judge.judge(inventory, judgement)
        if vulnerabilities and vulnerabilities.listed:
            self.attach("vulnerabilities", vulnerabilities.document(ROOM))
        return judgement.answer(properties)
