"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "image-names"
    use = "plugins/image_names.py:ImageNames"

    [plugin.config]
    patterns = ["debian-*", "ubuntu-*"]
    max_length = 40
    ignore_case = true
    of_projects = { "8c1f0d2e6b3a4f5d9e7c6b5a4d3c2b1a" = "lab-*" }
    otherwise = "warn"

Shows configuration: the constructor. Douane checks the names and types of its parameters before a byte moves. The
constructor checks everything else, and the operator reads its ValueError.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from douane_plugin import Image, Inspector, Reject


class ImageNames(Inspector):
    """Accept only images with certain names.

    `patterns` are names in which * stands for any characters, ? for one and [...] for one of these; a name must match
    one of them. `of_projects` maps ids of projects to patterns of their own. `max_length` is in characters. `otherwise`
    chooses whether an image with another name is refused.
    """

    reads = "nothing"

    def __init__(
        self,
        patterns: tuple[str, ...],
        max_length: int = 64,
        ignore_case: bool = False,
        of_projects: dict[str, str] | None = None,
        otherwise: Literal["refuse", "warn"] = "refuse",
    ):
        if not patterns:
            raise ValueError("patterns: at least one; ['*'] matches any name")
        if not 1 <= max_length <= 255:
            raise ValueError(f"max_length: from 1 to 255, not {max_length}")
        self.patterns = patterns
        self.max_length = max_length
        self.ignore_case = ignore_case
        self.of_projects = of_projects or {}
        self.otherwise = otherwise

    def inspect(self, image: Image) -> None:
        problem = self._problem(image.name or "", image.owner or "")
        if problem and self.otherwise == "warn":
            self.warn("name-not-allowed", problem)
        elif problem:
            raise Reject("name-not-allowed", problem)

    def _problem(self, name: str, owner: str) -> str:
        """Return what is wrong with the name and what to do; empty for a good name."""
        if not name:
            return "the image has no name; give it one"
        if len(name) > self.max_length:  # first, because matching a long name takes long
            return f"the image's name has {len(name)} characters; give it one with {self.max_length} at most"
        patterns = (self.of_projects[owner],) if owner in self.of_projects else self.patterns
        if any(self._matches(name, pattern) for pattern in patterns):
            return ""
        return f"the image's name matches none of {', '.join(patterns)}; give it one that does"

    def _matches(self, name: str, pattern: str) -> bool:
        if self.ignore_case:
            name, pattern = name.lower(), pattern.lower()
        return fnmatchcase(name, pattern)
