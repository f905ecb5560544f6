"""The kinds of errors that a user is shown."""


class ThrowawayError(Exception):
    """What happened, where, and what to do about it, in one line; shown without a traceback."""


class AlreadyRunsError(ThrowawayError):
    """A new cluster was asked for, and one of its name is there already."""


class AlreadyTracedError(ThrowawayError):
    """Somebody else traces on the node."""


class ApiError(ThrowawayError):
    """The API server gave no answer, or refused."""


class CommandFailedError(ThrowawayError):
    """A program that was run for the user ended with an exit code other than 0."""

    def __init__(self, message: str, returncode: int, stdout: str, stderr: str) -> None:
        super().__init__(message)
        self.returncode = returncode
        """Its exit code."""
        self.stdout = stdout
        """What it printed."""
        self.stderr = stderr
        """What it complained of."""
