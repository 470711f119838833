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

Shows configuration: it is the constructor. Names, types and defaults of its parameters are all there is to write, and
Douane checks them before a byte moves. What types cannot say, the constructor does: its ValueError is shown to the
operator as it is.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from douane_plugin import Image, Inspector, Reject


class ImageNames(Inspector):
    """Take images with certain names only.

    `patterns` are names in which * stands for any characters, ? for one and [...] for one of these; a name has to fit
    one of them. `of_projects` gives projects, by their ids, a pattern of their own instead. `max_length` is in
    characters. `otherwise` says what becomes of an image with another name.
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
            raise ValueError("patterns: at least one; ['*'] takes any name")
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
        """What is wrong with the name, and what to do; empty if nothing is."""
        if not name:
            return "the image has no name; give it one"
        if len(name) > self.max_length:  # first, so that nobody matches a long name against patterns
            return f"the image's name has {len(name)} characters; give it one with {self.max_length} at most"
        patterns = (self.of_projects[owner],) if owner in self.of_projects else self.patterns
        if any(self._fits(name, pattern) for pattern in patterns):
            return ""
        return f"the image's name fits none of {', '.join(patterns)}; give it one that does"

    def _fits(self, name: str, pattern: str) -> bool:
        if self.ignore_case:
            name, pattern = name.lower(), pattern.lower()
        return fnmatchcase(name, pattern)
