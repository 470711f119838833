"""An image into a pool of a real Ceph by the engine and the store `rbd`, against `rbd import` of the same file.

The cluster has one OSD on a file of this machine. The engine takes a sha256 of the bytes; the tool takes none.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from bench.driving import WrongOutcome
from bench.harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from bench.workspace import random_image, settle
from douane.declared import DeclaredImage
from douane.engine import Plan, RunOptions, Target, inspect_image, open_source
from douane.sandbox import Tier
from douane.stores.rbd import RbdOptions, RbdStore

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.ceph import Ceph, running_ceph  # the folder is added above

POOL = "images"
MAX_RATIO = 1.3


def measure(settings: Settings) -> list[Row]:
    """A row of seconds. What each has written is compared with the file once."""
    image = random_image(settings.directory / "rbd.raw", settings.size(1 * GiB, 64 * MiB))
    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with running_ceph(POOL) as ceph:
        store = RbdStore(RbdOptions(pool=POOL, ceph_conf=str(ceph.conf), user="admin"))
        _compare(ceph, _publish(store, image, sha256), image)

        def ours() -> str:
            return _publish(store, image, sha256)

        def tool() -> str:
            name = str(uuid.uuid4())
            ceph.rbd("import", "--no-progress", "--object-size", "8M", str(image), f"{POOL}/{name}")
            ceph.rbd("snap", "create", "--no-progress", f"{POOL}/{name}@snap")
            ceph.rbd("snap", "protect", f"{POOL}/{name}@snap")
            return name

        samples = in_turn(
            settings.times(5), {"store": lambda: _seconds(store, ours), "rbd import": lambda: _seconds(store, tool)}
        )
    middle = medians(samples)
    what = f"{image.stat().st_size // MiB} MiB into a pool of Ceph, with a digest"
    return [
        Row(
            what, middle["store"], middle["rbd import"], "`rbd import`, snapshot, protection", "s",
            max_ratio=MAX_RATIO, samples=samples,
        )
    ]  # fmt: skip


def _seconds(store: RbdStore, run: Callable[[], str]) -> float:
    names: list[str] = []
    seconds = timed(lambda: names.append(run()))
    store.delete(names[0])
    settle()
    return seconds


def _publish(store: RbdStore, image: Path, sha256: str) -> str:
    staged = store.stage(str(uuid.uuid4()))
    plan = Plan(plugins=(), digests=("sha256",), received_digests=())
    # No plugin, so that no process but the store's own is started.
    options = RunOptions(tier=Tier.STRICT)
    report = inspect_image(plan, DeclaredImage(), open_source(str(image)), None, options, targets=[Target(staged)])
    if report.outcome != "accepted" or report.stored.sha256 != sha256:
        raise WrongOutcome(f"the image is not stored as it is: {report.message}")
    image_id = str(uuid.uuid4())
    store.publish(staged, image_id)
    return image_id


def _compare(ceph: Ceph, name: str, image: Path) -> None:
    copy = image.with_name("rbd.copy")
    ceph.rbd("export", "--no-progress", f"{POOL}/{name}@snap", str(copy))
    with copy.open("rb") as ours, image.open("rb") as theirs:
        if hashlib.file_digest(ours, "sha256").digest() != hashlib.file_digest(theirs, "sha256").digest():
            raise WrongOutcome("the image in the pool is another")
    copy.unlink()
    ceph.rbd("snap", "unprotect", f"{POOL}/{name}@snap")
    ceph.rbd("snap", "purge", "--no-progress", f"{POOL}/{name}")
    ceph.rbd("rm", "--no-progress", f"{POOL}/{name}")
