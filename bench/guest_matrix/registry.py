"""All recipes."""

from __future__ import annotations

from . import btrfs_recipes, dos_recipes, ext_recipes, packed_recipes, xfs_recipes
from .recipe import Recipe

MODULES = (ext_recipes, xfs_recipes, btrfs_recipes, packed_recipes, dos_recipes)


def recipes() -> dict[str, Recipe]:
    """By their names."""
    return {recipe.name: recipe for module in MODULES for recipe in module.recipes()}
