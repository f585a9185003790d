"""Networks, their tasks, and the LightningModule that trains them.

A network gives logits; it knows nothing of losses, metrics, pruning or the text behind the ids. It draws its first
weights in `reset_parameters()`, so that they can be drawn again.

- `embedding`: words and letters as vectors;
- `convolutional`, with `windows`, its arithmetic on the CPU: classifiers with maximum over time;
- `cells`: recurrent layers from their equations; `recurrent`: these or torch's, and a classifier made of them;
  `ragged`, with `gates`: how torch's read texts of different lengths on the CPU; `replacing`: when that may be;
- `tagger`, `encoder_decoder`: strings answered letter by letter, and with strings; `sampling`: text made up;
- `ngram`: what a language model has to be better than;
- `tasks`: what is asked of a network, and what it answers; `learner`: the LightningModule;
- `living_adam`: an optimizer that pays for living entries alone; `mean`: of what each step comes to;
- `build`: all of it from settings.
"""

from lt_lightning.models.build import build_learner
from lt_lightning.models.convolutional import BinaryCNN, MultiCNN
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.encoder_decoder import EncoderDecoder
from lt_lightning.models.learner import Learner
from lt_lightning.models.recurrent import RecurrentClassifier
from lt_lightning.models.tagger import Tagger

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
