"""What several tests share: builders of images, servers, worlds. Tests import it as `support`.

`images` has one builder for each format. `sandbox` drives a process in a sandbox, `contract` plays recorded
conversations, `fuzzing` mutates images. The other modules serve the package of their name.
"""
