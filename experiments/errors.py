"""Errors whose message is for the user: run.py prints it without a traceback."""


class InputError(Exception):
    """Something the user gave can't be used; the message says what to try."""


class ComputeError(Exception):
    """The workers can't be reached any more; the message says what to do."""


class StoreError(Exception):
    """A study's folder can't be used as asked; the message says what to do."""
