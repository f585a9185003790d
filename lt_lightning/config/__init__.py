"""The configuration: its types, its limits, and error messages about settings in one line.

Needs neither torch nor Lightning, so that a rejected setting answers at once. The values, with a comment each, are the
files under `conf/`.
"""
