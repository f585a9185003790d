"""Evaluate a ticket on labelled texts: `python -m lt_lightning.evaluate FILE data=…`.

- `request`: parse the command line into texts with labels;
- `evaluation`: the result, also as JSON; `report`: files, page and figures; `terminal`: the output on a terminal.

The scores themselves are in `tickets.scores`. Nothing here trains.
"""
