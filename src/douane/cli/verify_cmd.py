"""`douane verify`: whether a summary is genuine, and about an image."""

from __future__ import annotations

import click

from douane.errors import NotVerified, PlanError, SourceError

from .options import json_option
from .output import print_json, print_table


@click.command()
@click.argument("image", type=click.Path())
@click.argument("summary", type=click.Path())
@click.option("--key", "keys", metavar="FILE", required=True, help="The public keys that may have signed, in PEM.")
@click.option("--verifier", metavar="URI", help="The site that must have let the image in.")
@json_option
@click.pass_context
def verify(ctx: click.Context, image: str, summary: str, keys: str, verifier: str | None, as_json: bool) -> None:
    """Verify that SUMMARY is signed, and about the bytes of IMAGE.

    It needs no network, no catalog and no sandbox. Exit code 1 if it is not so.
    """
    from douane.evidence.verification import MAX_SUMMARY_BYTES, digests_of, verify_summary
    from douane.plugins.attestations.keys import PublicKeys
    from douane.stream.image_file import open_image

    try:
        with open(keys, encoding="utf-8") as text:
            trusted = PublicKeys(text.read(MAX_SUMMARY_BYTES))
    except (OSError, ValueError, ImportError) as error:
        raise PlanError(f"--key {keys} cannot be used: {error}") from error
    try:
        with open(summary, "rb") as file:
            data = file.read(MAX_SUMMARY_BYTES)
        with open(open_image(image), "rb", buffering=0) as file:
            digests = digests_of(file)
    except PlanError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        place = image if error.filename is None else error.filename
        raise SourceError(f"{place} cannot be read: {error.strerror}") from error
    try:
        verified = verify_summary(data, trusted, digests, verifier)
    except NotVerified as error:
        if not as_json:
            raise
        print_json({"verified": False, "code": error.code, "message": str(error)})
        ctx.exit(error.exit_code)
    if as_json:
        from msgspec import to_builtins

        print_json({"verified": True, **to_builtins(verified)})
        return
    rows = [
        ("verified", "yes"),
        ("sha256", digests["sha256"]),
        ("image", verified.image),
        ("verifier", verified.verifier),
        ("time", verified.time),
        ("plan", verified.plan_sha256 or "-"),
        ("key", verified.key_id),
        ("let in despite", ", ".join(verified.overruled) or "-"),
    ]
    print_table(("field", "value"), rows)
