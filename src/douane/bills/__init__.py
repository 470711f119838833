"""Bills of materials in CycloneDX: of a guest that is read, and of the inventory that an import has kept.

`writer` writes them, `kept` finds the inventory and has it parsed in a sandbox, `unread` is what could not be read.
"""
