"""The inspectors that come with Douane.

They stand on the contract alone, as anybody's plugin does: they import `douane_plugin` and their own
library, nothing of the engine. Modules that begin with an underscore are shared by them.
"""
