"""Networks, their tasks, and the LightningModule that trains them.

A network gives logits; it knows nothing of losses, metrics, pruning or the text behind the ids. It draws its first
weights in `reset_parameters()`, so that they can be drawn again.

- `embedding`: words and letters as vectors;
- `cnn`: classifiers with maximum over time;
- `rnn/`: recurrent layers from their equations or torch's, and the networks made of them; `sampling`: text made up;
- `ngram`: the baseline of a language model;
- `tasks`: what a batch asks of a network; `learner`: the LightningModule; `mean`: of each step's numbers;
- `schedules`: learning rates over the steps of a round;
- `build`: all of it from settings.
"""

from lt_lightning.models.build import build_learner
from lt_lightning.models.cnn import BinaryCNN, MultiCNN
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.learner import Learner
from lt_lightning.models.rnn.classifier import RecurrentClassifier
from lt_lightning.models.rnn.seq2seq import EncoderDecoder
from lt_lightning.models.rnn.tagger import Tagger

__all__ = [
    "BinaryCNN",
    "EncoderDecoder",
    "Learner",
    "MultiCNN",
    "RecurrentClassifier",
    "Tagger",
    "WordEmbedding",
    "build_learner",
]
