"""`os.chmod` and `os.utime` where the kernel only seems to make these calls (`syscalls._MODES`).

They must not succeed on a file that is missing: `pathlib.Path.touch` makes a file only if `os.utime` fails.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def install() -> None:
    """Let the functions of `os` look for the file first."""
    for name in ("chmod", "utime"):
        original = getattr(os, name)
        careful = _careful(original)
        for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if original in supported:
                supported.add(careful)
        setattr(os, name, careful)

    fchmod = os.fchmod

    def careful_fchmod(fd: int, mode: int) -> None:
        os.fstat(fd)
        fchmod(fd, mode)

    careful_fchmod.__name__, careful_fchmod.__doc__ = fchmod.__name__, fchmod.__doc__
    os.fchmod = careful_fchmod


def _careful(original: Callable[..., None]) -> Callable[..., None]:
    def careful(path: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(path, int):
            os.fstat(path)
        else:
            place = {key: options[key] for key in ("dir_fd", "follow_symlinks") if key in options}
            os.stat(path, **place)
        original(path, *arguments, **options)

    careful.__name__, careful.__doc__ = original.__name__, original.__doc__
    return careful
