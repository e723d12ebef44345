"""Mistakes of a newcomer, each with what the message has to say.

Run as a program it makes every one of them and prints the messages as JSON: in a
process of its own, without the checks of shapes that the tests install, as users do.
"""

import json
import sys
import warnings

from mistakes_in_problems import IN_PROBLEMS
from mistakes_in_questions import IN_QUESTIONS

MISTAKES = IN_PROBLEMS | IN_QUESTIONS


def provoke(call) -> str:
    """Return what the user reads: warnings, the error's type, message and notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except Exception as error:  # noqa: BLE001 - any error is the finding
            lines = [f"{type(error).__name__}: {error}", *_notes(error)]
        else:
            lines = ["no error"]
    return "\n".join([*(str(warning.message) for warning in caught), *lines])


def _notes(error):
    return getattr(error, "__notes__", [])


if __name__ == "__main__":
    chosen = sys.argv[1:] or MISTAKES
    print(json.dumps({name: provoke(MISTAKES[name][0]) for name in chosen}, indent=1))
