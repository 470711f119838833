"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "recommended-properties"
    use = "plugins/recommended_properties.py:RecommendedProperties"
    config = { names = ["os_distro", "os_version"] }

Shows a warning: ``self.warn`` tells the tenant something, and the image is let in. One warning names all that is
missing, because there is a bound on how many an image can have.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector


class RecommendedProperties(Inspector):
    """Remind the tenant of properties that were not declared. It refuses nothing."""

    reads = "nothing"

    def __init__(self, names: tuple[str, ...] = ("os_distro", "os_version")):
        self.names = names

    def inspect(self, image: Image) -> None:
        missing = [name for name in self.names if not image.properties.get(name, "").strip()]
        if missing:
            self.warn(
                "properties-missing",
                f"the image does not say {', '.join(missing)}; set it, so that others find the image by it",
            )
