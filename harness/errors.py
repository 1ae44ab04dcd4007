"""The errors that a user can mend. The command prints them as one sentence and ends with status 2."""


class SplitbenchError(Exception):
    """Wrong usage or bad input: the message says what, where, the allowed values and the remedy."""


class ConfigError(SplitbenchError):
    """A study file, a component's parameters or a command's arguments are wrong."""


class DataError(SplitbenchError):
    """Data is missing, truncated, or not what its checksum promises."""


class StoreError(SplitbenchError):
    """A results folder cannot be read or written, or holds a newer version's records."""


class EngineError(SplitbenchError):
    """An engine itself cannot run stages (a worker died, a pool is broken): no run's doing, and it ends the study."""


class ComponentError(RuntimeError):
    """What a component raised in another process, in a form that survives the way between processes.

    Args:
        stage: the kind of stage.
        kind: the name of the exception's class.
        said: its message.
        traceback: where it was raised.
    """

    def __init__(self, stage: str, kind: str, said: str, traceback: str) -> None:
        super().__init__(stage, kind, said, traceback)
        self.stage, self.kind, self.said, self.traceback = stage, kind, said, traceback

    def __str__(self) -> str:
        return f"{self.stage} stage failed: {self.said}\n{self.traceback}"
