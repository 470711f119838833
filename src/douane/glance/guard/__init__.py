"""Imports for which Glance does not run the import plugin: Glance goes on without a plugin that is missing.

- ``import_guard.py`` refuses an import if the plugin would not run.
- ``unchecked.py`` flags an image that got in although the plugin was not called for it.
"""
