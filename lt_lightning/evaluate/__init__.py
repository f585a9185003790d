"""Evaluate a ticket on labelled texts: `python -m lt_lightning.evaluate FILE data=…`.

- `request`: parse the command line into texts with labels;
- `evaluation`: compute the result, also as JSON; `reasons`: the words behind the answers;
- `report`: files, page and figures; `showing`: the words on the page; `terminal`: printed text.

The scores themselves are in `tickets.scores`. Nothing here trains.
"""
