"""What `douane sbom --from-import` runs: an inventory that `packages` attached, as components of a bill."""

from __future__ import annotations

import json

from douane.plugins.packages.again import lines_of
from douane.plugins.packages.inventory import inventory_from
from douane_guest.packages.base import Package
from douane_guest.sbom import components_of_systems
from douane_plugin import Incomplete, Transform
from douane_plugin._guest_package import PACKAGE_KINDS
from douane_plugin.wire import MAX_MESSAGE

from .opened import documented_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins.packages.inventory import Package as KeptPackage
    from douane_plugin import Image

DAMAGED = "inventory-damaged"
_KINDS = {kind: word for word, kind in PACKAGE_KINDS.items()}
"""The words of package URLs by the kinds that plugins see."""


class KeptComponents(Transform):
    """The stream is the document, as a line of JSON; the output is that of `Components`, with the same document."""

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield the lines."""
        for line in lines_of(image):
            try:
                inventory = inventory_from(json.loads(line))
            except ValueError as error:
                raise Incomplete(DAMAGED, str(error)[:MAX_MESSAGE]) from error
            systems = ((each.volume, each.os, map(_package, each.packages)) for each in inventory.systems)
            for component in components_of_systems(systems):
                self.alive()
                yield json.dumps(component).encode() + b"\n"
            self.attach("unread", documented_parts(inventory.unread))


def _package(package: KeptPackage) -> Package:
    return Package(
        kind=_KINDS.get(package.kind, package.kind),
        name=package.name,
        version=package.version,
        arch=package.architecture,
        source=package.source,
        path=package.path,
    )
