"""Trials that run at length: kills at chosen moments, files damaged in any way, and faults that the tests must see.

The tests run the first two for a shorter time. Each trial is a command: `python -m trials.kills`,
`python -m trials.fuzz` and `python -m trials.planted`.
"""
