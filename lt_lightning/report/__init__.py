"""Pages and figures of runs: `python -m lt_lightning.report RUN [RUN …]`.

- `run`, `run_page`, `examples`, `facts`: the report of one run; `demo`: its smallest winning ticket, to try;
- `comparison/`: several runs, in groups of equal settings;
- `figures/`: all figures, drawn with matplotlib's objects alone;
- `statistics`: means over seeds and their intervals;
- `pages`: renders the Jinja templates in `templates/`.

Reads runs and never writes records: that is for `runs`.
"""
