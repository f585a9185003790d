"""What is tried at length, against all that may happen to a run: kills at any moment, files damaged in any way.

The tests do the same for a shorter time. Each trial is a command: `python -m trials.kills`, `python -m trials.fuzz`.
"""
