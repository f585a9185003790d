"""Networks, tasks, and the LightningModule that trains them.

A network returns logits; it does not know losses, metrics, pruning or the text behind the ids. It draws its first
weights in `reset_parameters()`, so that they can be drawn again.

- `embedding`: words and letters as vectors;
- `cnn`: classifiers with maximum over time;
- `rnn/`: recurrent layers, torch's or from their equations, and networks of them; `sampling`: draw text from one;
- `ngram`: the baseline of a language model;
- `tasks`: losses and metrics of each task; `learner`: the LightningModule; `mean`: the mean over steps;
- `schedules`: learning rates over the steps of a round;
- `build`: build all of these from settings; `description`, `checkpoint`: build a LightningModule again from a
  checkpoint.
"""

from lt_lightning.extras import require_training

require_training(__name__, "torch", "pytorch_lightning")  # one line that names the remedy, before an import fails

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
