"""One run directory, written and read.

- `records`: the rows of its tables; `description`: `run.json`; `rounds`: sealed rounds; `round_ticket`,
  `rewind_weights`: weights and masks; `masks`: masks without torch;
- `reading`, `folders`: a run directory as one object, and where run directories are;
- `metrics`, `winners`, `partial`, `confusion`: the numbers that judge a round;
- `saying`, `wording`, `origins`, `terminal`: the same as words and text tables; `kept_tickets`, `machine`.

Nothing here draws, trains or prunes. Most files import the standard library alone, so that reading a run does not wait
for torch or matplotlib.
"""
