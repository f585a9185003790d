"""Measure the instability of a run's rounds: `python -m lt_lightning.connect RUN`.

Copies of a round's network train from the same weights under the same mask, in another order of the data each. Where
the error on the line between them stays low, they have found one valley: linear mode connectivity.

- `request`: check the command and the run; imports no torch;
- `starts`: the weights that a round of the run trained from;
- `copies`: train a copy, and keep it; `points`: measure a point of a line;
- `analysis`: all of it, round by round; `records`: what is kept of it, and the tables;
- `display`: the screen; `report`: figures and page.

The arithmetic is in `lottery.connectivity`. The run's own files are only read. See docs/connectivity.md.
"""
