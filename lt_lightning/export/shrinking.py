"""Cut a round's ticket smaller: leave out filters, hidden units, dimensions and words that change no logit.

The result is a smaller dense network with the same logits up to rounding. Where a part that goes has a constant output,
that is added to the bias of the layer that reads it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lt_lightning.config.choice import CHOICES
from lt_lightning.config.models import BiRNN, packed_kind
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS, UNKNOWN
from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.runs.reading import Run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.tickets.header import expected_shapes

_WORDS = "embedding.weight"
_CANDIDATE = {"rnn": 0, "gru": 2, "gru_chung": 2, "lstm": 2}
"""The block of a cell's rows that computes the candidate for the new state."""


@dataclass(frozen=True)
class Cut:
    """How many parts of a kind there were, and how many stay."""

    kind: str
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.kind} {self.before:,} → {self.after:,}"


@dataclass(frozen=True)
class Shrunk:
    """A ticket that was cut smaller.

    Attributes:
        ticket: its `about` has the new sizes, and `shrunk`: [before, after] by kind of part.
        cuts: what was cut, the parameters last; empty if there was nothing to cut.
        zero_words: words that the ticket lacks, and that are read as `<pad>`; all others are read as `<unk>`.
    """

    ticket: RoundTicket
    cuts: Sequence[Cut] = ()
    zero_words: tuple[str, ...] = ()


@dataclass
class _Parts:
    """The tensors of a network while it is cut: weights and masks by parameter name, and the settings of the model."""

    weights: dict[str, Tensor]
    masks: dict[str, Tensor]
    model: dict[str, Any]
    cuts: list[Cut] = field(default_factory=list)

    def take(self, name: str, axis: int, kept: Tensor) -> None:
        """Leave the positions `kept` (indices) of an axis of a parameter."""
        for tensors in (self.weights, self.masks):
            if name in tensors:
                tensors[name] = tensors[name].index_select(axis, kept)

    def pop(self, name: str) -> tuple[Tensor, Tensor | None]:
        """Remove a parameter, and return its weights and its mask."""
        return self.weights.pop(name), self.masks.pop(name, None)

    def put(self, name: str, weight: Tensor, mask: Tensor | None) -> None:
        """Add a parameter."""
        self.weights[name] = weight
        if mask is not None:
            self.masks[name] = mask

    def add_to_bias(self, name: str, constant: Tensor) -> None:
        """Add a constant to a bias, whose entries then live where the sum is not zero."""
        bias = self.weights[name]
        self.weights[name] = (bias.double() + constant).to(bias.dtype)
        if name in self.masks:
            self.masks[name] = self.masks[name] | (self.weights[name] != 0)

    def count(self, kind: str, before: int, after: int) -> None:
        """Record a cut, if there is one."""
        if after < before:
            self.cuts.append(Cut(kind, before, after))

    @property
    def size(self) -> int:
        """The number of entries of all parameters."""
        return sum(weight.numel() for weight in self.weights.values())


def check_shrinkable(run: Run) -> None:
    """Raise SettingError unless a run's network can be cut smaller."""
    name = run.description.config.model.name
    if name is not None and packed_kind(name) is None:  # None in old runs, whose tickets name it
        known = ", ".join(name for name in CHOICES["model"] if packed_kind(name))
        raise SettingError(
            f"--shrink: {run.folder} has model={name}, whose equations this command does not know; it cuts the models "
            f"{known}; leave it out"
        )


@torch.no_grad()
def shrink(ticket: RoundTicket, *, words_alone: bool = False) -> Shrunk:
    """Return a smaller ticket with the same logits up to rounding, and what was cut.

    - Filters whose weights all meet zeros have a constant output, which is added to `fc.bias`; filters that `fc.weight`
      does not read go too.
    - Hidden units whose state stays zero go with the rows and columns of all gates. All layers and directions have the
      same number of units, as in torch: that of the one with the most.
    - Dimensions of the words' vectors that are zero, or that no filter or gate reads, go.
    - Words whose vector is zero share that of `<unk>` if it is zero, else that of `<pad>`.

    At least one part of each kind stays. The words that stay are put into alphabetical order, in which a file holds
    them in the least room.

    Args:
        ticket: a round's ticket of `cnn`, `binary_cnn`, `multi_cnn` or `birnn`.
        words_alone: cut nothing but words, and put them into order even if all stay.

    Returns:
        The smaller ticket, or the ticket itself if there is nothing to cut.

    Raises:
        ValueError: the weights do not fit the settings.
    """
    about, vocabulary = ticket.about, ticket.vocabulary
    if {name: tuple(weight.shape) for name, weight in ticket.weights.items()} != expected_shapes(
        {**about, "words": len(vocabulary)}
    ):
        raise ValueError("its weights are not those of its settings")
    parts = _Parts(dict(ticket.weights), dict(ticket.mask), dict(about["model"]))
    before = parts.size
    if not words_alone:
        readers = (_cut_units if packed_kind(parts.model["name"]) == BiRNN.packs else _cut_filters)(parts)
        _cut_dims(parts, readers)
    kept, zero = _cut_words(parts, vocabulary)
    if not parts.cuts and not words_alone:
        return Shrunk(ticket)
    parts.count("parameters", before, parts.size)
    smaller = {**about, "model": parts.model, "embedding_dim": parts.weights[_WORDS].shape[1]}
    if parts.cuts:
        smaller["shrunk"] = {cut.kind: [cut.before, cut.after] for cut in parts.cuts}
    tokenizer = renumbered(ticket.tokenizer, [vocabulary[word] for word in kept])
    weights = {name: weight.contiguous() for name, weight in parts.weights.items()}
    zero_words = tuple(vocabulary[word] for word in zero)
    return Shrunk(RoundTicket(weights, Mask(parts.masks), smaller, tokenizer), tuple(parts.cuts), zero_words)


def _cut_filters(parts: _Parts) -> list[tuple[str, int]]:
    """Cut filters, and return the parameters that read words' vectors, each with the axis of their dimensions."""
    fc, widths = parts.weights["fc.weight"], parts.model["widths"]
    dims = (parts.weights[_WORDS] != 0).any(dim=0)
    constant, columns, kept = torch.zeros(len(fc), dtype=torch.float64), [], []
    start = 0
    for place in range(len(widths)):
        weight, bias = parts.weights[f"convs.{place}.weight"], parts.weights[f"convs.{place}.bias"]
        reads = fc[:, start : start + len(weight)]
        moves = (weight[:, dims] != 0).flatten(1).any(dim=1)
        stays = moves & (reads != 0).any(dim=0)
        kept.append(stays)
        still = ~moves
        constant += reads[:, still].double() @ bias[still].double().relu()
        start += len(weight)
    if not any(stays.any() for stays in kept):  # a network needs a filter: one without a reader changes nothing
        kept[0][0] = True
        parts.weights["fc.weight"] = fc.index_fill(1, torch.tensor([0]), 0)
    parts.add_to_bias("fc.bias", constant)
    columns = torch.cat(kept).nonzero().squeeze(1)
    parts.take("fc.weight", 1, columns)
    layers = []
    for place, stays in enumerate(kept):
        names = [f"convs.{place}.weight", f"convs.{place}.bias"]
        for name in names:
            parts.take(name, 0, stays.nonzero().squeeze(1))
        tensors = [parts.pop(name) for name in names]
        if stays.any():
            layers.append((widths[place], tensors))
    for place, (_, tensors) in enumerate(layers):
        for kind, (weight, mask) in zip(("weight", "bias"), tensors, strict=True):
            parts.put(f"convs.{place}.{kind}", weight, mask)
    counts = [len(tensors[0][0]) for _, tensors in layers]
    parts.count("filters", start, sum(counts))
    if sum(counts) < start:
        parts.model["filters"] = counts[0] if len({*counts}) == 1 else counts
        parts.model["widths"] = [width for width, _ in layers]
    return [(f"convs.{place}.weight", 1) for place in range(len(layers))]


def _cut_units(parts: _Parts) -> list[tuple[str, int]]:
    """Cut hidden units, and return the parameters that read words' vectors, each with the axis of their dimensions."""
    model = parts.model
    ways, hidden, layers = ("", "_reverse") if model["bidirectional"] else ("",), model["hidden"], model["layers"]
    living = _living_units(parts, ways)
    size = max(1, *(int(units.sum()) for units in living.values()))
    # As many of each, so that torch's layers can have them: where fewer live, some zero ones stay.
    kept = {key: _filled(units, size) for key, units in living.items()}
    blocks = parts.weights["rnn.weight_hh_l0"].shape[0] // hidden
    for layer in range(layers):
        below = torch.cat([hidden * place + kept[layer - 1, way] for place, way in enumerate(ways)]) if layer else None
        for way in ways:
            units = kept[layer, way]
            rows = torch.cat([hidden * block + units for block in range(blocks)])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                parts.take(f"rnn.{kind}_l{layer}{way}", 0, rows)
            parts.take(f"rnn.weight_hh_l{layer}{way}", 1, units)
            if below is not None:
                parts.take(f"rnn.weight_ih_l{layer}{way}", 1, below)
    last = torch.cat([hidden * place + kept[layers - 1, way] for place, way in enumerate(ways)])
    parts.take("fc.weight", 1, last)
    parts.count("hidden units", hidden, size)
    model["hidden"] = size
    return [(f"rnn.weight_ih_l0{way}", 1) for way in ways]


def _living_units(parts: _Parts, ways: Sequence[str]) -> dict[tuple[int, str], Tensor]:
    """Return which hidden units of each layer and direction may leave zero, as booleans.

    The first state is zero. In every cell a unit's state stays zero while its candidate does, and the candidate's tanh
    is zero if its biases are and its weights meet only inputs and units that are zero themselves.
    """
    hidden, block = parts.model["hidden"], _CANDIDATE[parts.model["cell"]]
    rows = slice(block * hidden, (block + 1) * hidden)
    inputs = (parts.weights[_WORDS] != 0).any(dim=0)
    living: dict[tuple[int, str], Tensor] = {}
    for layer in range(parts.model["layers"]):
        for way in ways:
            of_inputs, of_units, *biases = (
                parts.weights[f"rnn.{kind}_l{layer}{way}"][rows] != 0
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            units = of_inputs[:, inputs].any(dim=1) | biases[0] | biases[1]
            while True:  # a unit that reads a living one may live too
                more = units | of_units[:, units].any(dim=1)
                if torch.equal(more, units):
                    break
                units = more
            living[layer, way] = units
        inputs = torch.cat([living[layer, way] for way in ways])
    return living


def _filled(living: Tensor, size: int) -> Tensor:
    """Return the indices of the living positions and of as many others as make `size`, ascending."""
    order = torch.cat([living.nonzero().squeeze(1), (~living).nonzero().squeeze(1)])
    return order[:size].sort().values


def _cut_dims(parts: _Parts, readers: Sequence[tuple[str, int]]) -> None:
    """Cut dimensions of the words' vectors that are zero or unread."""
    read = [(parts.weights[name].transpose(0, axis).flatten(1) != 0).any(dim=1) for name, axis in readers]
    used = torch.stack(read).any(dim=0) & (parts.weights[_WORDS] != 0).any(dim=0)
    kept = _filled(used, max(1, int(used.sum())))
    parts.count("dimensions", len(used), len(kept))
    for name, axis in ((_WORDS, 1), *readers):
        parts.take(name, axis, kept)


def _cut_words(parts: _Parts, vocabulary: Sequence[str]) -> tuple[list[int], list[int]]:
    """Cut words whose vectors are zero, and return the ids of those that stay, and of those to read as `<pad>`.

    All others are read as `<unk>`. If neither `<unk>` nor `<pad>` has a vector of zeros, all words stay.
    """
    embedding = parts.weights[_WORDS]
    living = (embedding != 0).any(dim=1)
    if living[UNKNOWN] and living[PADDING]:
        living[:] = True
    to_padding = bool(living[UNKNOWN])
    living[: len(SPECIAL_WORDS)] = True
    kept, dead = living.nonzero().squeeze(1).tolist(), (~living).nonzero().squeeze(1)
    first = len(SPECIAL_WORDS)
    kept = kept[:first] + sorted(kept[first:], key=vocabulary.__getitem__)
    parts.count("words", len(embedding), len(kept))
    parts.take(_WORDS, 0, torch.tensor(kept))
    return kept, dead.tolist() if to_padding else []


def renumbered(tokenizer: str, words: Sequence[str], zero_words: Sequence[str] = ()) -> str:
    """Return a tokenizer, as JSON, of the given words, numbered in their order, and of words that become `<pad>`."""
    content = json.loads(tokenizer)
    numbers = {word: number for number, word in enumerate(words)}
    content["model"]["vocab"] = numbers | dict.fromkeys(zero_words, PADDING)
    return json.dumps(content, ensure_ascii=False)
