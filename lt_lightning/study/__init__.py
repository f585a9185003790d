"""Play a study: `python -m lt_lightning.study NAME` runs what `conf/study/NAME.yaml` lists, and judges its claims.

- `file`: the study as its file describes it; `jobs`: its runs, with their settings and folders;
- `plan`: which runs are missing and how long they take; `sweeper`: runs them by Hydra's launcher;
- `rounds`: the table of all rounds, `rounds.csv`, from which everything else is computed;
- `claims`: the paired tests and the verdict on each claim; `tables`, `figures`: what is written and drawn.

Not here: comparisons of runs that belong to no study (`report.comparison`).
"""
