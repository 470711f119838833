"""The entry point of the distribution: `python -m douane` is the command `douane`."""

import signal


def run() -> None:
    """Run the command and exit."""
    # Ctrl-C while the command is imported ends it as it ends any program, without a traceback of the imports.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from douane.cli.main import run as run_command

    run_command()


if __name__ == "__main__":
    run()
