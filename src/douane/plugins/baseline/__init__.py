"""The inspector `baseline`: what an image for a cloud must have, and must not.

`rules` has the table of rules. `passwords`, `identity`, `logins`, `cloud_init`, `start`, `leftovers`, `files` and
`windows` have the facts: functions of a `System`, which yield findings and judge nothing. `checks` runs them, and
weighs what they yield.
"""

from __future__ import annotations

from douane.plugins._judgement import Judgement, check_unread
from douane.plugins._literal import Literal
from douane_plugin import Inspector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

DOCUMENT = "baseline"
HASH = "baseline-hash"
"""The code of an account with a hash on which no password was tried."""


class Baseline(Inspector):
    """Refuse an image that is not what an image for a cloud should be.

    ``use = "baseline"``. It waits for all bytes, and looks at the systems in the image.

    Configuration:

    ``profile`` (``"auto"``; or ``"debian"``, ``"ubuntu"``, ``"fedora"``, ``"alpine"``, ``"windows"``, ``"linux"``)
        Whose defaults and lists count; by default os-release says it.
    ``rules`` (table; none)
        ``allow``, ``warn`` or ``refuse`` by the name of a rule.
    ``setuid``, ``capabilities`` (lists of str; none)
        Further files that may have set-id bits, or capabilities; ``*`` stands for anything.
    ``cloud_users`` (list of str; none)
        Further accounts that may become root without a password.
    ``passwords`` (list of str; none)
        Further passwords that are well known.
    ``unread`` (``"incomplete"``; or ``"warn"``)
        The answer if a part of the image could not be looked at.

    Properties: ``profile`` (of the first system), ``systems``, ``files``, ``warnings``, ``notes``.

    Refuses with ``baseline-`` and the name of the rule.
    """

    reads = "guest"

    def __init__(
        self,
        profile: Literal["auto", "debian", "ubuntu", "fedora", "alpine", "windows", "linux"] = "auto",
        rules: dict[str, str] | None = None,
        setuid: list[str] | None = None,
        capabilities: list[str] | None = None,
        cloud_users: list[str] | None = None,
        passwords: list[str] | None = None,
        unread: Literal["incomplete", "warn"] = "incomplete",
    ) -> None:
        from .passwords import Passwords
        from .rules import check_words

        self.profile = profile
        self.words = check_words(rules or {})
        self.setuid, self.capabilities = setuid or [], capabilities or []
        self.cloud_users = cloud_users or []
        self.unread = check_unread(unread)
        self.passwords = Passwords(passwords or [])

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, Incomplete."""
        from douane.plugins._guest_facts import guest_behind

        from .checks import Checks, Settings

        guest = guest_behind(image)
        judgement = Judgement(self, DOCUMENT, self.unread)
        settings = Settings(
            self.profile,
            self.words,
            self.setuid,
            self.capabilities,
            self.cloud_users,
            self.passwords,
            self.unread,
        )
        checks = Checks(guest, image.guest.roots, judgement, settings, self.alive)
        checks.run()
        for part in image.guest.unread:
            judgement.gap(part.code, part.place or "the image", part.why)
        for place, why in checks.not_tried:
            judgement.gap(HASH, place, f"no password was tried: {why}")
        return judgement.answer({"profile": checks.profile, "systems": len(guest.roots), "files": checks.files})
