"""Search for settings with Optuna (`hydra/sweeper=optuna`): a run is a trial, its objective the trial's value.

- `space`: the settings to search, as typed, and a trial's values; `samplers`, `pruners`: Optuna's, by name;
- `storage`: a journal or a database; `study`: the study in it, and whether it belongs to these settings;
- `trial`: the values of a run after each round; `sweeper`: the search itself; `results`: its files and lines.

Optuna is an extra, imported where it is used. Not here: objectives, which are numbers of a run (`runs.objective`).
"""
