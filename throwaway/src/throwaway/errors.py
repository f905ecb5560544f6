"""The one kind of error that a user is shown."""


class ThrowawayError(Exception):
    """What happened, where, and what to do about it, in one line; shown without a traceback."""
