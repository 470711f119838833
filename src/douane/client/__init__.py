"""The client of `douane upload`: on the standard library alone, for Douane's image service and for plain Glance.

- ``http.py``: a request and its answer; ``tokens.py``: tokens from the environment and Keystone
- ``images.py``: the calls of the Image API; ``uploading.py``: the bytes, over as many lines as it takes
- ``sums.py``: the digests of what is sent; ``patience.py``: how long to wait before another attempt
"""
