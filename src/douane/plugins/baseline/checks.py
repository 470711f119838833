"""Runs the checks on each system of an image, and weighs their findings by the rules of its profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from douane.plugins._judgement import ALLOW, WARN, Judgement
from douane_guest.errors import GuestError
from douane_guest.guest import Guest
from douane_guest.tree import Tree
from douane_plugin import GuestRoot, Incomplete

from .cloud_init import check_cloud_init
from .files import Files
from .identity import check_keys, check_machine
from .leftovers import check_leftovers
from .logins import check_sshd, check_sudo
from .passwords import Passwords, check_accounts
from .rules import CODE, LINUX, RULES, WINDOWS, Finding, profile_of
from .start import check_boot, check_first_boot, check_selinux
from .system import System
from .windows import check_windows

LINUX_SIGNS = (
    *("etc/os-release", "usr/lib/os-release", "etc/passwd", "etc/shadow", "bin/sh", "usr/bin/sh"),
    *("sbin/init", "usr/sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd"),
)
"""No Windows has one of these at its root."""

Steps = Iterator[tuple[str, Iterator[Finding]]]


class Settings(NamedTuple):
    """What the operator has set."""

    profile: str
    """``auto``, or that of all systems."""

    words: dict[str, str]
    """``allow``, ``warn`` or ``refuse`` by the name of a rule."""

    setuid: list[str]
    capabilities: list[str]
    cloud_users: list[str]
    passwords: Passwords
    unread: str
    """``incomplete`` or ``warn``."""


class Checks:
    """All checks of an image. What cannot be read is in `guest.unread`, and the others go on."""

    def __init__(
        self,
        guest: Guest,
        roots: Sequence[GuestRoot],
        judgement: Judgement,
        settings: Settings,
        alive: Callable[[], None],
    ) -> None:
        """`roots` are the systems of `guest` as the contract shows them."""
        self._guest = guest
        self._roots = roots
        self._judgement = judgement
        self._settings = settings
        self._alive = alive
        self.profile = ""
        """That of the first system."""

        self.files = 0
        """Files that were looked at, with folders and links."""

        self.not_tried: list[tuple[str, str]] = []
        """Places of accounts on which no password was tried, with the reasons."""

    def run(self) -> None:
        """Look at all systems."""
        if not self._guest.roots and (not len(self._guest.unread) or self._settings.unread == WARN):
            self._weigh(Finding("unknown-system", "the image", "holds no system"), LINUX)
        for tree, root in zip(self._guest.roots, self._roots, strict=True):
            system = System(self._guest, tree, self._profile(tree))
            self.profile = self.profile or system.profile
            for fact, findings in self._steps(system, root):
                self._alive()
                try:
                    for finding in findings:
                        self._weigh(finding, system.profile)
                except GuestError as error:
                    self._guest.unread.add_error(f"{tree.volume.name}: {fact}", error)
                except Incomplete:
                    continue  # what could not be read is in the list

    def _profile(self, tree: Tree) -> str:
        if self._settings.profile != "auto":
            return self._settings.profile
        os = self._guest.os_of(tree)
        profile = profile_of(os)
        if profile == WINDOWS and any(map(tree.exists, LINUX_SIGNS)):
            profile = None  # whoever says so in a Linux would be judged by few rules
            sentence = "the system says that it is Windows, and has the programs of a Linux"
            self._weigh(Finding("unknown-system", f"{tree.volume.name}:/", sentence), LINUX)
        elif profile is None:
            name = os.get("PRETTY_NAME") or os.get("ID") or "it does not say what it is"
            sentence = f"the system is none that this site knows: {name:.60}"
            self._weigh(Finding("unknown-system", f"{tree.volume.name}:/etc/os-release", sentence), LINUX)
        return profile or LINUX

    def _steps(self, system: System, root: GuestRoot) -> Steps:
        yield "the kernel and the boot loader", check_boot(system)
        yield "the first start", check_first_boot(system)
        if system.profile == WINDOWS:
            yield "the setup of Windows", check_windows(system)
        else:
            yield "the accounts", check_accounts(system)
            yield "the passwords", self._settings.passwords.check(system, self.not_tried)
            yield "the keys", check_keys(system)
            yield "the settings of cloud-init", check_cloud_init(system)
            yield "the identity of the machine", check_machine(system)
            yield "sshd_config", check_sshd(system)
            yield "sudoers", check_sudo(system, self._settings.cloud_users)
            yield "SELinux", check_selinux(system)
        yield "what builders leave behind", check_leftovers(system)
        yield "the files", self._walk(system, root)

    def _walk(self, system: System, root: GuestRoot) -> Iterator[Finding]:
        active = frozenset(rule for rule in RULES if self._word(rule, system.profile) != ALLOW)
        files = Files(system, active, self._settings.setuid, self._settings.capabilities, self._alive)
        yield from files.check(root)
        self.files += files.count

    def _word(self, rule: str, profile: str) -> str:
        return self._settings.words.get(rule) or RULES[rule].defaults[profile]

    def _weigh(self, finding: Finding, profile: str) -> None:
        word = self._word(finding.rule, profile)
        if word != ALLOW:
            self._judgement.match(word, CODE + finding.rule, finding.place, finding.sentence)
