"""A plugin of Douane's for tests in a real Glance: it does what the image's name says, up to a colon."""

from __future__ import annotations

import os
import time

from douane_plugin import Defer, Image, Inspector, Reject


class Acts(Inspector):
    """Refuse, crash, hang or defer; or say what it has seen. What it begins and ends stands in the log."""

    def __init__(self, never: str = "") -> None:
        """`never` is an image's name that hangs besides those of this name."""
        self.never = never

    def inspect(self, image: Image) -> dict[str, object]:
        """All of the image is read first, but by those that do early what they do."""
        name = image.name or ""
        what = name.partition(":")[0]
        self.log.info("begins with %s.", name)
        seen = 0
        for piece in image:
            seen += len(piece)
            if what == "refuse-early":
                raise Reject("evil", "there is evil in the image; remove it")
            if what == "crash-early":
                os._exit(3)
        self.log.info("has all of %s.", name)
        if what == "refuse":
            raise Reject("evil", "there is evil in the image; remove it")
        if what == "defer":
            raise Defer(60, "come again in a minute")
        if what == "crash":
            os._exit(3)
        while what == "hang" or name == self.never:
            time.sleep(0.1)
        while what == "busy":
            self.alive()
            time.sleep(0.1)
        return {"seen": seen, "declared": ",".join(sorted(image.properties)), "owner": image.owner or ""}
