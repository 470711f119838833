"""Evidence that goes out: a signed summary of what an accepted image has passed, which anybody can verify offline.

`summary` says what stands in it, `signing` and `token` sign, `verification` reads it again. A summary is a statement
of in-toto with the predicate of SLSA for verification summaries, in an envelope of DSSE.
"""

from .signing import check_evidence, sign_accepted, sign_report
from .verification import VerifiedSummary, verify_summary

__all__ = ["VerifiedSummary", "check_evidence", "sign_accepted", "sign_report", "verify_summary"]
