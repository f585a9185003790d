"""A pre-trained encoder with a linear classifier, as a model of transformers.

It imports torch and transformers alone. `export --hf` copies this file into folders that no class of transformers
itself can load.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class TicketConfig(PreTrainedConfig):
    """The settings of a lottery ticket of an encoder.

    Attributes:
        encoder: the `config.json` of the encoder.
        pooling: `mean`, over the pieces of a text; `cls`, the state of the first; `pooler`, the encoder's own pooler.
        head_dropout: the share of the pooled state that is dropped in training.
    """

    model_type = "lottery_ticket"

    def __init__(self, encoder=None, pooling="mean", head_dropout=0.0, **settings):
        self.encoder = dict(encoder or {})
        self.pooling = pooling
        self.head_dropout = head_dropout
        super().__init__(**settings)


class TicketForSequenceClassification(PreTrainedModel):
    """Classify texts by the pooled last hidden states of an encoder."""

    config_class = TicketConfig

    def __init__(self, config):
        super().__init__(config)
        settings = dict(config.encoder)
        inner = AutoConfig.for_model(settings.pop("model_type"), **settings)
        self.encoder = AutoModel.from_config(
            inner, dtype=torch.float32, attn_implementation="eager", trust_remote_code=False
        )
        if config.pooling != "pooler" and isinstance(getattr(self.encoder, "pooler", None), nn.Module):
            self.encoder.register_module("pooler", None)
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(inner.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None, **others):
        """Return the logits (batch, classes) of texts, and the cross entropy if there are labels.

        Args:
            input_ids: (batch, length) the ids of the pieces.
            attention_mask: (batch, length) 1 for each piece of a text, 0 behind it; all are read without it.
            labels: (batch,) the right classes.
            others: not read.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        found = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        if self.config.pooling == "pooler":
            state = found.pooler_output
        elif self.config.pooling == "cls":
            state = found.last_hidden_state[:, 0]
        else:
            weights = attention_mask[..., None].to(found.last_hidden_state.dtype)
            state = (found.last_hidden_state * weights).sum(1) / weights.sum(1)
        logits = self.head(self.dropout(state))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
