"""What can go wrong before a plugin's code runs."""


class SandboxError(Exception):
    """A cage could not be built, or is not closed. The text is a sentence for the operator."""


class SandboxUnavailable(SandboxError):
    """This machine does not give the tier that was asked for; the text says which layer is missing."""
