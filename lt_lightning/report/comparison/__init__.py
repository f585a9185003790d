"""A comparison of several runs: groups of equal settings, means over seeds, tables, figures and a page."""
