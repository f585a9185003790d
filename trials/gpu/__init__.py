"""Checks of this project on one CUDA device, in one command: `python -m trials.gpu`.

A check is a function of a `Request` in one of the modules, and a line in `checks.CHECKS`; it returns an `Outcome`.
Each runs in a process of its own (`worker`), so that one that fails, or breaks the device, leaves the others alone.
`stand_in` is a device on the CPU that refuses what a GPU refuses: with it, and with the device `cpu`, the checks
themselves are tested.
"""
