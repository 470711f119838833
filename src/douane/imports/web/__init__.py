"""Images from a URL: the import method web-download.

- ``download.py``: the source of an image, and the look at its URL before an import is accepted
- ``url.py``, ``addresses.py``: which URLs and addresses are allowed
- ``connection.py``, ``request.py``: one connection to a checked address, and one request over it
"""
