"""Select the lowest scores: exact ranks, blocks and rows as units, counts of the Erdős–Rényi kernel."""
