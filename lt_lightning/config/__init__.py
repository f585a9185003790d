"""Define the configuration: types, limits, and one-line error messages about settings.

Imports neither torch nor Lightning, so that a refused setting answers immediately. The files under `conf/` hold the
values, with a comment each.
"""
