"""Douane: customs for cloud images."""

__version__ = "0.1.0"
"""The version of this distribution, as in pyproject.toml: reading it from installed metadata costs 10 ms a start."""
