"""Unpacking what an image is compressed with: one module a format, as it arrives, in bounded memory."""

from .detection import FORMATS, Format, detect
from .rules import Rules
from .source import Source

__all__ = ["FORMATS", "Format", "Rules", "Source", "detect"]
