"""The Image API v2: its decisions, as functions without a server, a socket or a database, and the service around them.

`requests` reads what clients send into typed structs, and `documents` makes the answers; `identity` says who may do
what. These read no clock, no file and no catalog (but Keystone, by its middleware): callers pass what is needed. Every
size that a client chooses has a bound (:mod:`douane.api.requests.bounds`), and every function can be called with any
text that a client can send. A request that cannot be served raises :class:`~douane.api.errors.HttpError`: a status
code, and a sentence that says what is wrong and what is expected.

`routes` has the resources, `transfer` moves the bytes of images, `ui` makes the pages for people. `service.py` holds
what the resources share, `app.py` makes the application, `front.py` stands before it. `process` has the processes.
"""
