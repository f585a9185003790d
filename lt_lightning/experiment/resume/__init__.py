"""Resume a run or a sweep.

- `command`: the recorded command line, completed by the one given now; `earlier`: commands of older versions;
- `trust`: recorded settings that could run code;
- `compare`: whether the same is asked for now as then; `restore`: weights and mask of the last round.
"""
