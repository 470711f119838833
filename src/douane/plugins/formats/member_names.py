"""Names of files in archives, and references to them: safe names and unsafe ones."""

MAX_NAME_BYTES = 1024
"""A longer name is refused. The names in an OVA are file names, of at most 255 bytes (DSP0243 leaves it to tar)."""


def why_unsafe(name: str) -> "str | None":
    """Why `name` is unsafe, as the end of a sentence; None if it is safe.

    A directory's name may end with a slash. ``./disk.vmdk``, as ``tar -c .`` writes it, is ``disk.vmdk``.
    """
    if not name:
        return "is empty"
    if len(name) > MAX_NAME_BYTES:
        return f"has {len(name)} characters, more than {MAX_NAME_BYTES}"
    if not name.isprintable() and any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "contains a control character"  # NUL ends it for some programs; a line end forges lines of a manifest
    if "\\" in name:
        return "contains a backslash, which separates directories for some programs"
    if name.startswith("/"):
        return "is absolute"
    if name[1:2] == ":" and name[0].isascii() and name[0].isalpha():
        return "begins with a drive"
    if ".." in name.split("/"):
        return "leads to a directory above"
    return None


def normal(name: str) -> str:
    """`name` without empty and ``.`` components: members with the same normal name would be the same file."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def quoted(name: str) -> str:
    """`name` for a message: quoted, escaped and cut."""
    return repr(name if len(name) <= 80 else name[:77] + "...")
