"""What is timed, against whom; never asserts a time.

A benchmark is a module with a command line, such as `python -m benchmarks.step`. It sets what this project does beside
what others do (`peers`), in one process and by turns on the same input, so that a busy machine slows all of them alike,
and gives medians and ratios with their spread (`measuring`). A time is true of one machine on one day: what must hold
everywhere is for the tests to say.
"""
