"""What `douane ls`, `cat`, `sbom` and `inspect --guest` run: the guest of an image, shown instead of judged.

They have no name that could be written by mistake under `use` in a plan. `Listing`, `Contents` and `Components` are
transforms whose output is what the command prints; `Summary` is an inspector with a document.
"""
