"""Pack a run's ticket into one file: `python -m lt_lightning.export RUN [--round N] [-o FILE]`.

- `packing`, `first_weights`, `provenance`: the content of the file;
- `dense`: dense weights and a tokenizer for other programs; `model_card`: the README beside the file;
- `places`, `verification`: where files go, and a check of each before it takes its place;
- `export`: all of it in order.

The format of the file is in `tickets.file`.
"""
