"""The code that runs in the new process before the plugin: close the sandbox from inside, and try to get out of it.

Python 3.9 and later. Imports only built-in modules and ``_ctypes``, because every start pays for imports.
"""
