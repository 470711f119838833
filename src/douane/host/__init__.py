"""One plugin in its process: start the process in a sandbox, speak with it, keep its clocks, obtain its verdict.

`launch.py` starts the processes of a plan; `base.py` has the protocol that every kind of plugin process follows.
"""
