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
_PYTHON = r"\[Errno (\d{1,3})\]"
_PATH = r"(?<![\w./])/[^\s:'\"\u2018\u2019`,;)]+"
_NOT_FOUND = r"(?:^|[\s:])([\w.+-]{1,100}): (?:command )?not found$"
_UNOPENED = r"(?i)\b(?:cannot|can't|could not|couldn't|unable to|failed to) open\b[^/]{0,40}(?=/)"
_CALLS = (
    (r"\bfork\b|\bclone\b|\bcreate (a )?(new )?process", "fork"),
    (r"(?i)\bsocket\b|\bconnect\b|\bresolve\b", "socket"),
    (r"(?i)\b(cannot|can't|failed to|unable to) (create|remove|rename|make|write)", "mkdir"),
)
"""Words of a message, and the function of :mod:`.advice` that they stand for. The expressions are compiled when a
plugin has failed, and not at each start."""


def find_cause(line: str) -> Cause | None:
    """Read one line of standard error; None if it names no error that a sandbox may cause."""
    text = line.strip()
    if missing := re.search(_NOT_FOUND, text):
        return Cause(errno=errno.ENOENT, path=missing[1], calls=["execve"])
    lowered = text.lower()
    if any(words in lowered for words in _MEMORY):
        return Cause(errno=errno.ENOMEM)
    if python := re.search(_PYTHON, text):
        number, end = int(python[1]), len(text)
    else:
        places = [(lowered.rfind(words), number) for words, number in _TEXTS.items() if words in lowered]
        if not places:
            unopened = re.search(_UNOPENED, text)
            paths = re.findall(_PATH, text[unopened.end() :]) if unopened else []
            return Cause(errno=errno.ENOENT, path=paths[0]) if paths else None
        end, number = max(places)
    before, after = re.findall(_PATH, text[:end]), re.findall(_PATH, text[end:])
    path = before[-1] if before else (after[0] if after else None)  # "X: No such file"; some write "No such file: X"
    calls = [name for pattern, name in _CALLS if re.search(pattern, text)]
    return Cause(errno=number, path=path, calls=calls)
