"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "recommended-properties"
    use = "plugins/recommended_properties.py:RecommendedProperties"
    config = { names = ["os_distro", "os_version"] }

Shows a warning: ``self.warn`` informs the tenant, and the image is accepted. A single warning names all missing
properties, because the number of warnings is limited.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector


class RecommendedProperties(Inspector):
    """Warn the tenant of properties that are not declared. Accept every image."""

    reads = "nothing"

    def __init__(self, names: tuple[str, ...] = ("os_distro", "os_version")):
        self.names = names

    def inspect(self, image: Image) -> None:
        missing = [name for name in self.names if not image.properties.get(name, "").strip()]
        if missing:
            self.warn(
                "properties-missing",
                f"the image has no {', '.join(missing)}; set it, so that others can find the image",
            )
