"""The two ways in which headstart refuses: what it was asked for cannot be done, or what it was doing had to stop."""


class BadInputError(ValueError):
    """An argument, file or data set that cannot be used; the message names it, its value and the way out."""


class RunStoppedError(RuntimeError):
    """Something outside the arguments stopped the work (NaN, no disk space, no network); what was saved is intact."""
