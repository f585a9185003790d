"""Build a network of transformers' own class that gives a ticket's logits.

Their heads are a matrix, an activation and a second matrix on the state of the first piece. A linear head passes
through with two hidden units a class:

- z = f(z) − f(−z) for ReLU, GELU and SiLU, exactly;
- z = (8 tanh(εz) − tanh(2εz)) / 6ε for tanh, up to (εz)⁴/2 of z, with ε a power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lt_lightning.export.huggingface.averaging import Linear, fill_averaging_layer, signed_pairs
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.encoder.network import model_settings, weights_of

_SMALL = 2.0**-11

_OF_FILES = ("model_type", "auto_map", "architectures", "_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""Settings of a `config.json` that are of its own file, or that the new one sets."""


def stock_networks(packed: PackedEncoder) -> Iterator[nn.Module]:
    """Yield networks of a class of transformers that may give a ticket's logits; the caller compares them.

    Yields none for an architecture whose settings, head or layers have other parts than those that are known here.
    """
    pooling = packed.about["encoder"]["pooling"]
    weights = {name: torch.from_numpy(one) for name, one in weights_of(packed).items()}
    head = Linear(weights.pop("head.weight"), weights.pop("head.bias"))
    for fill_head in (None,) if pooling == "pooler" else (_fill_tanh, _fill_difference):
        try:
            network = _build(packed, averages=pooling == "mean")
            is_filled = network is not None and _fill(network, weights, head, pooling, fill_head)
        except Exception:  # any type, by the class: ModernBERT, for one, lists the kinds of its layers
            return
        if network is not None and is_filled:
            yield network


def _build(packed: PackedEncoder, *, averages: bool) -> nn.Module | None:
    """Return a network with random weights, with one more layer if it averages; None if no class fits."""
    import transformers

    config = transformers.AutoConfig.for_model(**stock_settings(packed.about))
    if type(config) not in transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return None
    if averages:
        config.num_hidden_layers += 1
    return transformers.AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()


def stock_settings(about: Any) -> dict[str, Any]:
    """Return the settings of the configuration of a network of transformers' own class, its `model_type` among them."""
    own = model_settings(about)
    encoder = {key: value for key, value in own["encoder"].items() if key not in _OF_FILES}
    dropout = own["head_dropout"]
    return {
        **encoder,
        "model_type": own["encoder"]["model_type"],
        "pad_token_id": own["pad_token_id"],
        "id2label": own["id2label"],
        "label2id": own["label2id"],
        "problem_type": "single_label_classification",
        "seq_classif_dropout" if own["encoder"]["model_type"] == "distilbert" else "classifier_dropout": dropout,
    }


@torch.no_grad()
def _fill(
    network: Any,
    weights: dict[str, Tensor],
    head: Linear,
    pooling: str,
    fill_head: Callable[[nn.Linear, nn.Linear, Linear], bool] | None,
) -> bool:
    """Fill a network with the weights of a ticket; return whether its parts are known."""
    base = getattr(network, network.base_model_prefix)
    inner = {name.removeprefix("encoder."): one for name, one in weights.items()}
    found = base.load_state_dict(inner, strict=False)
    parts = _head(network, base)
    if parts is None or any(not name.startswith("pooler.") for name in found.unexpected_keys):
        return False
    dense, out = parts
    if pooling == "pooler":
        dense.load_state_dict({kind: inner[f"pooler.dense.{kind}"] for kind in ("weight", "bias")})
        out.weight.copy_(head.weight)
        out.bias.copy_(head.bias)
        return True
    if pooling == "mean":
        stack = base.encoder if hasattr(base, "encoder") else getattr(base, "transformer", None)
        layers = getattr(stack, "layer", None)
        averaged = fill_averaging_layer(layers[-1], head) if isinstance(layers, nn.ModuleList) else None
        if averaged is None:
            return False
        head = averaged
    assert fill_head is not None
    return fill_head(dense, out, head)


def _head(network: Any, base: Any) -> tuple[nn.Linear, nn.Linear] | None:
    """Return both matrices of a head; None if it has other parts."""
    classifier = getattr(network, "classifier", None)
    places = (
        (classifier, "dense", classifier, "out_proj"),  # RoBERTa, ELECTRA
        (network, "pre_classifier", network, "classifier"),  # DistilBERT
        (getattr(base, "pooler", None), "dense", network, "classifier"),  # BERT
    )
    for first, dense, second, out in places:
        matrices = getattr(first, dense, None), getattr(second, out, None)
        if isinstance(matrices[0], nn.Linear) and isinstance(matrices[1], nn.Linear):
            return matrices[0], matrices[1]
    return None


def _fill_difference(dense: nn.Linear, out: nn.Linear, head: Linear) -> bool:
    """Pass z through ReLU, GELU or SiLU."""
    return _fill_pairs(dense, out, signed_pairs(head.weight), signed_pairs(head.bias), (1.0, -1.0))


def _fill_tanh(dense: nn.Linear, out: nn.Linear, head: Linear) -> bool:
    """Pass z through tanh."""
    weight, bias = (torch.stack([_SMALL * one, 2 * _SMALL * one], dim=1).flatten(0, 1) for one in head)
    return _fill_pairs(dense, out, weight, bias, (8 / (6 * _SMALL), -1 / (6 * _SMALL)))


def _fill_pairs(dense: nn.Linear, out: nn.Linear, weight: Tensor, bias: Tensor, factors: tuple[float, float]) -> bool:
    """Fill a head whose hidden units are two a class; return False if it is too narrow."""
    units = len(bias)
    if units > dense.out_features:
        return False
    for matrix in (dense, out):
        matrix.weight.zero_()
        matrix.bias.zero_()
    dense.weight[:units], dense.bias[:units] = weight, bias
    rows = torch.arange(units // 2)
    out.weight[rows, 2 * rows], out.weight[rows, 2 * rows + 1] = factors
    return True
