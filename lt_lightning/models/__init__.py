"""Networks, and the LightningModule that trains them.

A network takes `(ids, lengths)` and gives logits; it knows nothing of losses, metrics, pruning or the text behind the
ids. It draws its first weights in `reset_parameters()`, so that they can be drawn again.
"""

from lt_lightning.models.build import build_classifier
from lt_lightning.models.classifier import TextClassifier
from lt_lightning.models.convolutional import BinaryCNN, MultiCNN
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.recurrent import BiLSTM

__all__ = ["BiLSTM", "BinaryCNN", "MultiCNN", "TextClassifier", "WordEmbedding", "build_classifier"]
