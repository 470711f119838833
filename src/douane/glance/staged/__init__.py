"""An image in Glance's staging folder, inspected by the import plugin.

- ``task.py``: the taskflow task that Glance runs
- ``staged_import.py``: one import: inspect the file, or recognise it, and apply the outcome to the image
- ``staged_file.py``: the file, and the file beside it that a transform writes
- ``attestation.py``, ``tag.py``: how the import recognises bytes that the filter inspected when they were staged
"""
