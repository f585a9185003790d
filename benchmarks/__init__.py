"""Timings of this project beside others; they assert no times.

A benchmark is a module with a command line, such as `python -m benchmarks.step`. It runs this project's code and other
code (`peers`) in turns on the same input in one process, so that a busy machine slows all of them alike, and reports
medians and ratios with quartiles (`measuring`).
"""
