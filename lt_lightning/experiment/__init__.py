"""Run an experiment from its settings to its report.

- `hydra_main`, `start_check`, `folders`, `entry`: turn a command into a checked configuration and a folder;
- `start_run`, `worker`: load the corpus and start the run's processes;
- `experiment`, `round`: run the rounds, one `Trainer.fit` each, with the callbacks of `progress`, `measuring`,
  `round_checkpoint`, `examples` and `exhaustion`; `subject`, `trainer`: the module, its data and the Trainer;
- `resume/`: resume a run; `transfer/`: start from another run's ticket.

Records are defined in `runs`, the algorithm in `lottery`.
"""
