"""Resume a run or a sweep.

- `command`: the recorded command line, completed by the one given now; `trust`: recorded settings that could run code;
- `compare`: whether the settings agree with the recorded ones; `restore`: weights and mask of the last round.
"""
