"""What runs in the new process before the plugin: it closes the cage behind itself, and tries the walls.

Python 3.9 and later; imports nothing but built-in modules and ``_ctypes``, because every start pays for it.
"""
