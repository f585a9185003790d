"""Define the error of a lottery that cannot run, and its warning."""


class LotteryError(ValueError):
    """A lottery cannot run as asked; the message says why and what to do."""


class LayerCollapseWarning(UserWarning):
    """A tensor of two or more dimensions has no living entry, so that nothing passes through it."""
