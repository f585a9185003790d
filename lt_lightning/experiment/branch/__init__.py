"""Retrain the tickets of another run, the trunk, as a run of its own.

`command` completes the command line, and `trunk` checks that branch and trunk fit, before torch is loaded; `starts`
computes the masks and weights that the rounds begin with.
"""
