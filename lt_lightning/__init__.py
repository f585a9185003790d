"""A lottery-ticket laboratory for text classifiers on PyTorch Lightning.

The package has six parts; imports point one way, towards `lottery` and `kernels`:

- `lottery`: the algorithm in plain torch: masks, criteria, pruning, rewinding, rounds;
- `callbacks`: when, in a Lightning fit, the algorithm acts;
- `models`: networks and the LightningModule that trains them;
- `kernels`: compiled loops on plain arrays, for `models`;
- `data`: from text to batches;
- `results`: what a run leaves behind.

Beside them stand the entry points, one a file, `python -m lt_lightning.train` and `python -m lt_lightning.report`; what
goes on with a run that was stopped (`resuming`, `continuing`, `interruption`); and what starts several processes for
one run (`processes`, `supervisor`, `worker`, `environment`).
"""

__version__ = "0.4.0"
