"""Douane inside stock Glance, which loads two of these modules and is not changed itself:

- ``filter.py``, a filter of the paste pipeline, inspects images that arrive in a request;
- ``import_plugin.py``, a plugin of the import, inspects what Glance downloaded, and runs transforms.

Both take their ``settings.py``, inspect through ``backends.py`` (in this process or by ``douane agent``) and explain
the outcome to the tenant with ``reasons.py``. Folders, one job each:

- ``upload/``: an image in the body of a request
- ``staged/``: an image in Glance's staging folder
- ``guard/``: imports for which Glance does not run the import plugin
- ``recovery/``: images that a killed Glance left half-way
- ``proof/``: which properties of an image are Douane's, and which did a tenant write?
- ``doctor/``: ``douane glance doctor``

``internals.py`` is the place that uses Glance's own code, and ``store_drivers.py`` that of its stores. For another kind
of backend, write a class with the attributes and methods of ``LocalBackend`` and return it from
``backends.open_backend``.
"""
