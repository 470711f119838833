"""What an image is, from its bytes alone: one module for each format, and the examination that reads all of them.

`examination.Examination` is fed an image's bytes in order and has, at the end, a `match.Match` for each format that the
bytes can be read as: the size of the disk, the header fields, and findings. What a finding is worth is decided
elsewhere: nothing in here knows of plugins, policies or files.

A new format is a module with a subclass of `base.Format` and one line in `registry`; a compression has its base class
in `compression` and its line in `compressions`. A module that only the reader of a match needs is imported by the
method `read`, since each module takes 0.2 ms of every start. Transforms recognise formats and read headers with the
same modules.
"""
