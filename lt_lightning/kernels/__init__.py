"""Compiled loops on plain arrays and hand-written gradients, for operations that are slow in torch.

Numba compiles a loop at its first call and caches the machine code. Loops are single-threaded: a second thread pool
would compete with torch's for the cores, and a loop takes a millisecond or less.
"""
