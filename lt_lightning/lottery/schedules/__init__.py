"""When pruning happens: one dataclass per schedule, listed in `registry`. Imports no torch."""
