"""A worker of the service that gets a signal at one boundary of its work; test_killed_workers runs it.

    killed_worker.py BOUNDARY SIGNAL SPEC

BOUNDARY is one of :mod:`killed_import`'s; SIGNAL is SIGKILL or SIGSTOP.
"""

from __future__ import annotations

import os
import signal
import sys

import msgspec

# Not a package here: the program runs with this folder first in its path.
from killed_import import die_at

from douane.imports import worker
from douane.imports.worker_spec import WorkerSpec

if __name__ == "__main__":
    boundary, name, spec = sys.argv[1:]
    die_at(boundary, signal.Signals[name])
    worker.main(msgspec.json.decode(spec, type=WorkerSpec))
    os._exit(0)
