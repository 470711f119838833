"""An image into a pool of a real Ceph by the engine and the store `rbd`, against `rbd import` of the same file.

The cluster has one OSD on a file of this machine. The engine takes md5, sha256 and sha512 meanwhile, and looks at the format.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from bench.driving import WrongOutcome
from bench.harness import GiB, MiB, Row, Settings, in_turn, medians, progress, timed
from bench.workspace import random_image, settle
from douane.declared import DeclaredImage
from douane.engine import FileSource, Plan, RunOptions, Target, inspect_image
from douane.engine.plan_digest import load_plan  # noqa: F401
from douane.sandbox import Tier
from douane.stores.rbd import RbdOptions, RbdStore

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
