"""Makes an account: `make user`. It works before the first `make run` and beside one that runs."""

from __future__ import annotations

import sys

from django.core.management import CommandError, call_command

from project.run import runner


def main(arguments: list[str]) -> int:
    """Prepare the database if needed, run `manage.py createuser` with these arguments, and return the exit code."""
    try:
        runner.configure(development=True)
        runner.migrate()
        call_command("createuser", *arguments)
    except runner.CannotStart as refused:
        runner.say(str(refused), to=sys.stderr)
        return refused.code
    except CommandError as error:
        runner.say(str(error), to=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        runner.say("\nNo account was made.", to=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
