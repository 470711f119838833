"""The Image API v2: its decisions, as functions without a server, a socket or a database, and the service around them.

`routes` has the resources, `app.py` makes the application, `door.py` and `supervisor.py` are the processes; `front.py`,
`request_body.py` and `uploads.py` move bytes. All other modules decide.

Each of these reads a part of a request into a typed struct, or makes a part of an answer. A request that cannot be
served raises :class:`~douane.api.errors.HttpError`: a status code, and a sentence that says what is wrong and what is
expected.

Those read no clock, no file and no catalog: callers pass what is needed. Every size that a client chooses has a
bound (:mod:`douane.api.bounds`), and every function can be called with any text that a client can send.
"""
