"""Run a study: `python -m lt_lightning.study NAME` runs what `conf/study/NAME.yaml` lists, and judges its claims.

- `description`: a study; `file`: reads it from its file; `checks`: the faults that such a file can have;
- `jobs`: its runs, with their settings and folders; `plan`: which are missing and how long they take;
- `sweeper`: runs them by Hydra's launcher;
- `rounds`: the table of all rounds, `rounds.csv`, from which everything else is computed;
- `claims`: the paired tests and the verdict on each claim; `results`, `figures`: the files of a study.

Not here: comparisons of runs that belong to no study (`report.comparison`).
"""
