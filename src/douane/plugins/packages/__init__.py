"""The inspector `packages`: lists of packages, the end of life of systems, and known vulnerabilities.

`versions` orders versions as each ecosystem does.
"""
