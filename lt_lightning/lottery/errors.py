"""Define the error of a lottery that cannot run."""


class LotteryError(ValueError):
    """A lottery cannot run as asked; the message says why and what to do."""
