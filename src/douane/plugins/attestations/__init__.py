"""Attestations: a signed envelope (DSSE v1) around a statement (in-toto v1) about bytes by their digests.

`provenance` verifies those that come with an image; the engine's own summaries are of the same form.
"""
