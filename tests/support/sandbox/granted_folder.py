"""A granted folder with links and a secret beside it, and the attacks on it. A test runs this as another user."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from douane import sandbox
from douane.plan.model import PluginSpec
from douane.plan.path_grants import PathGrant, open_path_grant
from support.sandbox.process import Cell

LINKS = ("absolute", "relative", "long-way", "to-a-folder/secret", "to-the-parent/secret")
CONTENTS = {"file": "content", "deep/file": "deep content", "own-link": "content", "absolute-own-link": "content"}


def make(place: Path) -> tuple[Path, Path]:
    """The folder, and the secret."""
    folder, secret = place / "granted", place / "secret"
    (folder / "deep").mkdir(parents=True)
    secret.write_text("secret")
    (folder / "file").write_text("content")
    (folder / "deep" / "file").write_text("deep content")
    (folder / "own-link").symlink_to("deep/../file")
    (folder / "absolute-own-link").symlink_to(folder / "file")
    (folder / "absolute").symlink_to(secret)
    (folder / "relative").symlink_to("../secret")
    (folder / "long-way").symlink_to("/proc/self/root" + str(secret))
    (folder / "to-a-folder").symlink_to(place)
    (folder / "to-the-parent").symlink_to("..")
    return folder, secret


def grant(target: str) -> PathGrant:
    """The grant of `target`, opened; its descriptor is closed again."""
    opened = open_path_grant(PluginSpec(name="cell", use="cell", grants={"data": target}), "data")
    os.close(opened.fd)
    return opened


def granted(*targets: str) -> tuple[sandbox.GrantedPath, ...]:
    """For the sandbox."""
    return tuple(each for target in targets if (each := grant(target).granted) is not None)


def attack(tier: sandbox.Tier, folder: Path, secret: Path) -> None:
    """Attack from inside; AssertionError names an attack that succeeds."""
    programs = (Path("/bin/sh"),)
    script = folder / "script"
    script.write_text("#!/bin/sh\n")
    for allowed in ((), programs):
        with Cell(tier, granted=granted(f"dir:{folder}"), programs=allowed) as cell:
            contents = cell.returned("leaving.contents", str(folder))
            assert contents == {**CONTENTS, **dict.fromkeys(LINKS[:3]), "script": "#!/bin/sh\n"}, contents
            escapes = cell.returned("leaving.out_of", str(folder), str(secret), LINKS)
            assert escapes == [], escapes
            changes = cell.returned("leaving.change", str(folder), "file")
            # Below /tmp, the parent is the plugin's own in the tier full, whatever the host has there.
            parents = [str(folder.parent)] if tier is sandbox.Tier.STRICT else []
            changes += cell.returned("write_everywhere", [str(folder), str(folder / "deep"), *parents])
            changes += cell.returned("change", str(folder / "file")) + cell.returned("change", str(folder))
            assert changes == [], changes
            assert cell.refused("leaving.run", str(script)) in (1, 13)
    assert (folder / "file").read_text() == "content"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["granted", "secret"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        attack(sandbox.Tier(sys.argv[1]), *make(Path(name)))
    print("closed")
