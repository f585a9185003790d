"""Run the jobs of a sweep: one after the other, or by joblib, submitit (on this machine or SLURM) and Ray.

- `sweep`: prepares the jobs, hands them to an engine and shows their results; Hydra's plugin
  `hydra_plugins.lt_lightning_launchers` calls it;
- `job`: one job, as sent to the process that runs it; `surroundings`: the folder, paths and variables that it gets;
- the other files hold one engine each. An engine runs jobs, yields results as they come, and ends its workers when it
  is closed. It prints nothing.

The settings of the engines are in `config.launchers`.
"""
