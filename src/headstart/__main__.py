"""``headstart``, which ``python -m headstart`` is as well: it listens to signals before it imports what takes long."""

import sys

from headstart.system.signals import end_on_signals, leave_signals


def main() -> int:
    """Runs the command of ``sys.argv`` and returns its exit code."""
    end_on_signals()
    from headstart.cli.main import main as run

    try:
        return run()
    finally:
        leave_signals()


if __name__ == "__main__":
    sys.exit(main())
