"""The errors that a user can mend. The command prints them as one sentence and ends with status 2."""


class SplitbenchError(Exception):
    """Wrong usage or bad input: the message says what, where, the allowed values and the remedy."""


class ConfigError(SplitbenchError):
    """A study file, a component's parameters or a command's arguments are wrong."""


class DataError(SplitbenchError):
    """Data is missing, truncated, or not what its checksum promises."""


class StoreError(SplitbenchError):
    """A results folder cannot be read or written, or holds a newer version's records."""
