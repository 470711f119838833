"""What an operator asks of a system, one fact a module: a function of its tree.

The functions raise the exceptions of `errors.py` where the image cannot be read; what is not there is no error. They
report and judge nothing. Passwords and private keys are not in what they return: of a password only the kind of its
hash, of a key only its fingerprint. The exception is `accounts.accounts_with_fields`, to try passwords on hashes.
"""

TEXT = 1 << 20
"""Bytes of a file of settings that is read."""
