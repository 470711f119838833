"""The program inside the sandbox: it runs one plugin on many images, one after the other. Python 3.9 and newer.

`driver.py` holds the conversation with `driver_process.py`, `runtime.py` is the runtime of one case. The sandbox shows
the folder `caged/`, from which the plugin's own interpreter imports the package.
"""
