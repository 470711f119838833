"""How the guest starts: kernel, boot loader, what sets it up at the first start, the mode of SELinux."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.facts import first_boot, kernels
from douane_guest.facts.boot import SETTINGS, program_loaders, sector_loaders
from douane_guest.roots import WINDOWS as HIVE

from .rules import FEDORA, WINDOWS, Finding
from .system import System

ENTRIES = ("boot/loader/entries/*.conf", "etc/default/grub", "etc/kernel/cmdline")
UNITS = ("etc", "usr/lib", "lib")
TINY_CLOUD = ("usr/bin/tiny-cloud", "sbin/tiny-cloud", "usr/sbin/tiny-cloud", "usr/lib/tiny-cloud", "lib/tiny-cloud")
NT_KERNEL = "Windows/System32/ntoskrnl.exe"
SELINUX = "etc/selinux/config"
AUTORELABEL = ".autorelabel"
_OFF = re.compile(r"\bcloud-init=disabled\b")
_MODE = re.compile(r"^[ \t]*SELINUX[ \t]*=[ \t]*(\w+)", re.MULTILINE)


def check_boot(system: System) -> Iterator[Finding]:
    """The kernel and the boot loader."""
    if system.profile == WINDOWS:
        has_kernel = system.tree.exists(NT_KERNEL)
    else:
        has_kernel = bool(kernels.kernels_of(system.tree))
        has_kernel = has_kernel or any(kernels.kernels_of(volume, "") for volume in system.volumes)
    if not has_kernel:
        yield Finding("kernel", system.place(HIVE if system.profile == WINDOWS else "boot"), "there is no kernel")
    if not sector_loaders(system.guest) and not program_loaders(system.guest):
        yield Finding("boot-loader", "disk", "there is no boot loader, neither in a boot sector nor in an EFI folder")


def check_first_boot(system: System) -> Iterator[Finding]:
    """What sets the guest up."""
    tree = system.tree
    if system.profile == WINDOWS:
        if not first_boot.has_cloudbase_init(tree):
            yield Finding("first-boot", system.place("Program Files"), "cloudbase-init is not installed")
        return
    cloud_init = first_boot.cloud_init_of(tree)
    if cloud_init is not None and cloud_init.ran:
        sentence = "cloud-init has run in this image; run cloud-init clean"
        yield Finding("cloud-init-state", system.place("var/lib/cloud"), sentence)
    obstacle = "it is not installed" if cloud_init is None else _obstacle(system, enabled=cloud_init.enabled)
    if obstacle and not _has_another(system):
        yield Finding("first-boot", system.place("etc/cloud"), f"cloud-init will not run: {obstacle}")


def _has_another(system: System) -> bool:
    ignition = first_boot.ignition_of((system.tree, *system.volumes))
    if ignition is not None and ignition.will_run:
        return True
    return any(map(system.tree.exists, TINY_CLOUD)) and any(system.items("etc/runlevels/*/tiny-cloud*"))


def _obstacle(system: System, *, enabled: bool) -> str:
    """Why cloud-init will not run; empty if it will."""
    if not enabled:
        return f"remove /{first_boot.CLOUD_INIT_OFF}"
    for item in system.items(*SETTINGS, *ENTRIES):
        if any(_OFF.search(line) for line in system.lines(item.path)):
            return f"{item.path} turns it off"
    for item in system.items("etc/systemd/system/cloud-init*"):
        if item.link == "/dev/null":
            return f"{item.path} is masked"
    if system.tree.exists("sbin/openrc") or system.tree.exists("usr/sbin/openrc"):
        return "" if any(system.items("etc/runlevels/*/cloud-init*")) else "no runlevel starts it"
    if system.tree.exists("usr/lib/systemd/systemd") or system.tree.exists("lib/systemd/systemd"):
        wants = [f"{folder}/systemd/system/*.wants/cloud-init*" for folder in UNITS]
        return "" if any(system.items(*wants)) else "no target of systemd starts it"
    return ""


def selinux_mode(system: System) -> str:
    """``enforcing``, ``permissive``, ``disabled``; empty if it is not configured."""
    match = _MODE.search(system.text(SELINUX))
    return match[1].lower() if match else ""


def check_selinux(system: System) -> Iterator[Finding]:
    """The mode of SELinux; the labels are looked at with the files."""
    mode = selinux_mode(system)
    if mode != "enforcing" and (mode or system.profile == FEDORA):
        sentence = f"SELinux is {mode or 'not configured'}; set SELINUX=enforcing"
        yield Finding("selinux-mode", system.place(SELINUX), sentence)
    if mode in ("enforcing", "permissive") and system.tree.exists(AUTORELABEL):
        sentence = "the first start labels all files, and starts again; label them in the image: setfiles"
        yield Finding("selinux-autorelabel", system.place(AUTORELABEL), sentence)
