"""What the bytes of an image are, from the bytes alone: one module a format, and the readers that they stream through.

`examination.Examination` is fed an image's bytes in order and has, at the end, a `match.Match` for each format that the
bytes can be read as: the size of the disk, the header fields, and findings. What a finding is worth is decided
elsewhere: nothing in here knows of plugins, policies or files.

A new format is a module with a subclass of `base.Format` and one line in `registry`. Transforms recognise formats and
read headers with the same modules.
"""
