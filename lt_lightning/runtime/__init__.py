"""The process of a program: its command line, signals, logs, terminal, and the processes that it starts.

Nothing here knows the lottery. `fast_import` holds all tricks about imports, with their reasons beside them.
"""
