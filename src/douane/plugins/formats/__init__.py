"""What the bytes of an image are, from the bytes alone: one module a format, and what reads them as they stream by.

Nothing in here knows of plugins, policies or files: :class:`Examination` is fed an image's bytes in order and has,
at the end, a :class:`Look` for each format that the bytes can be read as, with the size of the disk, the fields that
led to it, and findings. What a finding is worth is decided elsewhere.
"""

from .examination import Examination
from .match import Field, Finding, Look

__all__ = ["Examination", "Field", "Finding", "Look"]
