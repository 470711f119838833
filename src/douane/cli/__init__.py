"""The command line. `main.py` has the group of commands, `NAME_cmd.py` a command, `NAME_report.py` what it prints.

A command is a click command in a module of its own and a line in `main.py` (or in `plugin_cmd.py`). Its module is
imported when the command runs or is listed, so it imports the engine inside its function.
"""

import gc

# The modules that a command imports stay until its end. Looking for garbage among them takes 10 ms of each start.
gc.set_threshold(50_000)
