"""An image in the body of a request to Glance's API (PEP 3333).

- ``routes.py``: which requests carry an image
- ``wsgi_input.py``, ``body.py``: the body as the server gives it, and as Glance reads it
- ``inspected_upload.py``: the inspection of one body
- ``api_client.py``, ``image_api.py``: requests to Glance on behalf of the same user
- ``http_errors.py``: the response to an image that is not let in

For another server with its own way to read chunked bodies, add a case to ``wsgi_input.open_input``.
"""
