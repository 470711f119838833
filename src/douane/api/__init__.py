"""The decisions of the Image API v2, as functions without a server, a socket or a database.

Each module reads a part of a request into a typed struct, or makes a part of an answer. A request that cannot be
served raises :class:`~douane.api.errors.HttpError`: a status code, and a sentence that says what is wrong and what is
expected.

Nothing here reads a clock, a file or the catalog: callers pass what is needed. Every size that a client chooses has a
bound (:mod:`douane.api.bounds`), and every function can be called with any text that a client can send.
"""
