"""A run from its settings to its report.

- `hydra_main`, `start_check`, `reserving`, `job_folders`: a command becomes a checked configuration and a folder;
- `loading`, `launch`, `environment`, `worker`: the corpus, and the processes of the run;
- `experiment`: the rounds, one `Trainer.fit` each, with the callbacks `progress`, `history`, `round_checkpoint`,
  `spelling` and `exhaustion_callback`; `measuring`, `examples`, `exhaustion`: a round's numbers and answers;
- `resume/`: a run goes on where it stopped; `transfer/`: a run starts from another run's ticket.

Records are defined in `runs`, the algorithm in `lottery`.
"""
