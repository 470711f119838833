"""What the operator configured, and what will run: reads files, starts nothing.

`parse.load_plan` reads the TOML file and the command line into a `Plan` (`model.py`). `resolve.resolve_plan` finds the
code of every plugin and places the plugins in stages: a `ResolvedPlan`, which `douane.host` starts. `code.py` knows the
forms of `use`, `source_scan.py` reads a plugin's source without running it, `grants.py` opens granted resources.

A new built-in plugin is one module in `douane.plugins` and one line in `builtin.py`.
"""
