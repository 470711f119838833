"""A plugin for tests in a real Glance: it acts by the image's name, up to a colon."""

from __future__ import annotations

import os
import time

from douane_plugin import Defer, Image, Inspector, Reject


class Acts(Inspector):
    """Refuse, crash, hang or defer; or report the image. The log shows when the inspection begins and has all bytes."""

    def __init__(self, never: str = "") -> None:
        """`never` is the name of one more image that hangs."""
        self.never = never

    def inspect(self, image: Image) -> dict[str, object]:
        """Read the whole image first, unless the name ends in ``-early``."""
        name = image.name or ""
        what = name.partition(":")[0]
        self.log.info("begins with %s.", name)
        size = 0
        for piece in image:
            size += len(piece)
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
        return {"seen": size, "declared": ",".join(sorted(image.properties)), "owner": image.owner or ""}
