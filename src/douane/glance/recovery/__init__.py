"""Images that a killed Glance left half-way: queued again, with a reason.

Glance itself never does that. An image whose import was killed stays ``importing`` and can only be deleted; an image
whose upload was killed stays ``saving`` or ``uploading``, takes no bytes again, and its staged part can be imported as
if it were complete.

- ``journal.py``: the imports and uploads under way on this host, in files that outlive a kill -9
- ``imports.py``, ``uploads.py``: recover those of processes that are gone
- ``partial_files.py``: delete the half-written files
"""
