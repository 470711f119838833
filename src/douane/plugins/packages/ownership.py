"""Which packages of languages the distribution has installed: its advisories are about them, since it repairs old
versions under their old numbers. Advisories of PyPI would be false for them.
"""

from __future__ import annotations

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import GuestPackage, GuestRoot

MANAGERS = ("dpkg", "rpm", "apk", "pacman")
_FOLDERS = {
    "python": ("/usr/lib/python", "/usr/lib64/python"),
    "node": ("/usr/share/nodejs/",),
    "gem": ("/usr/share/gems/", "/usr/share/rubygems-integration/"),
}
_DEFAULT_GEMS = "/specifications/default/"
_INSTALLERS = ("pip", "uv", "poetry", "pdm")
"""What these write into the file INSTALLER (PEP 376); distributions write another word, or remove it."""


def is_of_distribution(package: GuestPackage, root: GuestRoot) -> bool:
    """True if it is in a folder of the distribution, and no installer of the language says that it was here."""
    path = package.path
    if not path.startswith(_FOLDERS.get(package.kind, ())):
        return package.kind == "gem" and path.startswith("/usr/lib") and _DEFAULT_GEMS in path
    if package.kind != "python":
        return True
    try:
        installer = root.read(posixpath.join(posixpath.dirname(path), "INSTALLER"), 1 << 16)
    except OSError:
        return True
    return installer.decode("utf-8", "replace").strip() not in _INSTALLERS
