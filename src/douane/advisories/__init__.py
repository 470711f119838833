"""`douane cve build`: a database of advisories from the files that OSV exports.

`osv` reads an advisory, `cvss` scores a vector, `building` writes the database, whose schema the inspector `packages`
has.
"""
