"""Which properties of an image are Douane's, and which did a tenant write? Glance lets an image's owner write any.

- ``proof.py``: a keyed tag over an image's id, digest and properties, which Douane sets as the property `douane_proof`
- ``key.py``: the key, in a file
- ``verification.py``: check the images of this Glance, for ``douane glance verify``
- ``protection.py``: rules for Glance's property protections, for ``douane glance protection``
"""
