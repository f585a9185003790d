"""Compiled loops on plain arrays, for what torch has no fast operation for; no network and no training here.

Numba compiles them at their first call and keeps the machine code on disk. Each runs on the thread that calls it: a
second pool of threads beside torch's would fight with it for the cores, and these loops take a millisecond or less.
"""
