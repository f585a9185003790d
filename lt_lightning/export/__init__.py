"""Pack a run's ticket into one file: `python -m lt_lightning.export RUN [--round N] [-o FILE]`.

- `shrinking`: a smaller ticket with the same answers;
- `packing`: the content of the file; `model_card`: the README beside it;
- `files`: the paths of the files, and a check of each before it takes its place;
- `export`: all of it in order.

The format of the file is in `tickets.file`.
"""
