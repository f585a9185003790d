"""Run an experiment from its settings to its report.

- `hydra_main`, `start_check`, `reserving`, `job_folders`: turn a command into a checked configuration and a folder;
- `loading`, `launch`, `environment`, `worker`: load the corpus and set up the run's processes;
- `experiment`: runs the rounds, one `Trainer.fit` each, with the callbacks `progress`, `history`, `round_checkpoint`,
  `spelling` and `exhaustion_callback`; `measuring`, `examples`, `exhaustion`: a round's numbers and answers;
- `resume/`: resume a run; `transfer/`: start from another run's ticket.

Records are defined in `runs`, the algorithm in `lottery`.
"""
