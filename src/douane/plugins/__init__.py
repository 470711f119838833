"""The built-in plugins: one module or one package each, registered by one line in `douane/plan/builtin.py`.

A built-in plugin is a class of the contract, `douane_plugin`, like any operator's plugin. It imports the contract, its
own parts, `formats` and the shared modules, whose names begin with an underscore; it imports nothing of the engine.

- inspectors: `format`, `limits`, `checksum`, `qemu_info`, `oslo_format`, `properties`, `signature`, `provenance`;
  `explain` for `douane inspect`
- `guest_view`: what `douane inspect --guest`, `ls`, `cat` and `sbom` run
- transforms: `decompress`, `ova`, `convert`; the parts of each are beside it in its package
- `formats`: what a file is, for inspectors and transforms alike; the only readers of headers

A new format is one module and one line in `formats/registry.py`, a new compression one module and one line in
`formats/compressions.py`. `TYPE_CHECKING` is a constant here, without `typing`, which takes 11 ms to import.
"""
