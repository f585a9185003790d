"""Trackers that a run logs to: CSV, TensorBoard, W&B, MLflow, Trackio, and the user's own Lightning loggers.

One run here is one run there, whatever the number of its rounds and interruptions. A tracker gets:

- what is logged while a round trains, against the optimizer steps of the whole run;
- `ticket/…`, what a round's ticket achieves, and `layers/…`, the density of each parameter, once per round;
- hyperparameters as the run begins, and files as it ends.

`Tracking` fans out to the trackers and keeps their failures from stopping the run. The settings are in
`config.trackers`. Decisions of the lottery do not belong here.
"""
