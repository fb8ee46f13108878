"""The two ways in which headstart refuses: what it was asked for cannot be done, or what it was doing had to stop."""


class BadInputError(ValueError):
    """An argument, file or data set that cannot be used; the message names it, its value and the way out."""


class RunStoppedError(RuntimeError):
    """Something outside the arguments stopped the work (NaN, no disk space, no network); what was saved is intact."""


def shortened(value: str, longest: int = 100) -> str:
    """A value as a message quotes it: of a long one the beginning and the end.

    >>> shortened("a" * 10_000, longest=20)
    'aaaaaaaaaaaa ... aaa'
    """
    if len(value) <= longest:
        return value
    end = (longest - 5) // 5
    return f"{value[: longest - 5 - end]} ... {value[-end:]}"
