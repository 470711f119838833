"""The facts about a failure in the last words of a program: what it called, on which path, and the error's number."""

from __future__ import annotations

import errno
import os
import re

from .messages import Cause

_NUMBERS = (
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.EAGAIN, errno.ENOSYS),
    errno.EFBIG,
)
_TEXTS = {os.strerror(number).lower(): number for number in _NUMBERS}
_MEMORY = ("memoryerror", "bad_alloc", "out of memory", "memory exhausted")
_PYTHON = re.compile(r"\[Errno (\d{1,3})\]")
_PATH = re.compile(r"(?<![\w./])/[^\s:'\"\u2018\u2019`,;)]+")
_NOT_FOUND = re.compile(r"(?:^|[\s:])([\w.+-]{1,100}): (?:command )?not found$")
_CALLS = (
    (re.compile(r"\bfork\b|\bclone\b|\bcreate (a )?(new )?process"), "fork"),
    (re.compile(r"\bsocket\b|\bconnect\b|\bresolve\b", re.IGNORECASE), "socket"),
    (re.compile(r"\b(cannot|can't|failed to|unable to) (create|remove|rename|make|write)", re.IGNORECASE), "mkdir"),
)
"""Words of a message, and the function of :mod:`.advice` that they stand for."""


def find_cause(line: str) -> Cause | None:
    """Read one line of standard error; None if it names no error that a sandbox may cause."""
    text = line.strip()
    if missing := _NOT_FOUND.search(text):
        return Cause(errno=errno.ENOENT, path=missing[1], calls=["execve"])
    lowered = text.lower()
    if any(words in lowered for words in _MEMORY):
        return Cause(errno=errno.ENOMEM)
    if python := _PYTHON.search(text):
        number, end = int(python[1]), len(text)
    else:
        places = [(lowered.rfind(words), number) for words, number in _TEXTS.items() if words in lowered]
        if not places:
            return None
        end, number = max(places)
    paths = _PATH.findall(text[:end])
    calls = [name for pattern, name in _CALLS if pattern.search(text)]
    return Cause(errno=number, path=paths[-1] if paths else None, calls=calls)
