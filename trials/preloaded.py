"""What a process imports from which commands are forked, in the order in which `lt_lightning.train` does.

Lightning prints by a handler of its own if the root logger has none as it is imported.
"""

import logging

logging.getLogger().addHandler(logging.NullHandler())

from lt_lightning.runtime.fast_import import load_lightning

load_lightning()

import lt_lightning.experiment.experiment
import lt_lightning.experiment.hydra_main  # noqa: F401

logging.getLogger().handlers.clear()
