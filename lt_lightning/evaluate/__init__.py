"""Evaluate a ticket on labelled texts: `python -m lt_lightning.evaluate FILE data=…`.

- `request`: the words of the command line become texts with labels;
- `evaluation`: the result, in words and as JSON;
- `report`, `page`, `reliability`, `terminal`: the files, the page, its figure, and the output on a terminal.

The scores themselves are in `tickets.scores`. Nothing here trains.
"""
