"""The exit codes of the command; docs/reference.md lists them."""

from collections.abc import Mapping
from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

OF_EVERY_COMMAND: Final[Mapping[int, str]] = {
    OK: "It succeeded, or was stopped by Ctrl-C or SIGTERM as intended.",
    FAILED: "It failed; one message on standard error says what is wrong and what to do.",
    USAGE: "The command, an option or an argument is wrong; nothing was done.",
    INTERRUPTED: "It was interrupted before it had done its work.",
}
OF_COMMANDS: Final[Mapping[str, Mapping[int, str]]] = {
    "up": {FAILED: "With `--once`: a step or a check has failed; the output names it."},
    "cutover": {
        FAILED: "A check found a reason against switching; with `--check` nothing is ever switched."
    },
    "legacy check": {FAILED: "The old system has a problem that the output names."},
    "legacy import": {FAILED: "Something was refused, or is in conflict; the output names it."},
    "legacy status": {
        FAILED: "A side cannot be read; the error says why, after the output of what is known."
    },
    "exec": {OK: "The exit code is that of the program."},
}
"""Command → what its exit codes mean besides."""
