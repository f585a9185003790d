"""`reinitialize` with models of transformers: drawn as their construction draws them, also if they were loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lt_lightning.lottery import Lottery, LotteryError, Settings
from lt_lightning.lottery.rewinding import reinitialize, snapshot

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 60, "pad_token_id": 0}
STD = 0.05


def configurations() -> list[Any]:
    bert = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, **SIZES}
    return [
        transformers.BertConfig(initializer_range=STD, **bert),
        transformers.RobertaConfig(initializer_range=STD, **bert),
        transformers.ElectraConfig(initializer_range=STD, embedding_size=32, **bert),
        transformers.DistilBertConfig(
            initializer_range=STD, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64, **SIZES
        ),
    ]


class Classifier(nn.Module):
    """An encoder and a head, in code that knows nothing of this package."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(32, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(input_ids=ids).last_hidden_state.mean(1))


@pytest.fixture(params=configurations(), ids=lambda config: config.model_type)
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Classifier:
    """A classifier whose encoder was loaded from a folder, and whose weights are none that an initializer draws."""
    built = transformers.AutoModel.from_config(request.param)
    with torch.no_grad():
        for param in built.parameters():
            param.add_(5)
    built.save_pretrained(tmp_path)
    return Classifier(transformers.AutoModel.from_pretrained(tmp_path))


def test_a_loaded_encoder_is_drawn_again_by_its_own_initializer(loaded: Classifier) -> None:
    before, training = snapshot(loaded), torch.get_rng_state()
    reinitialize(loaded, 3)
    assert torch.equal(torch.get_rng_state(), training)
    tables = 0
    for name, value in loaded.encoder.named_parameters():
        assert not torch.equal(value, before[f"encoder.{name}"]), name
        if value.ndim == 2 and value.numel() > 500:
            tables += "embeddings" in name
            assert value.std().item() == pytest.approx(STD, rel=0.15), name
            assert abs(value.mean().item()) < 0.02, name
        elif value.ndim == 1:
            assert value.unique().tolist() == ([1.0] if "orm.weight" in name else [0.0]), name
    assert tables
    assert not loaded.encoder.get_input_embeddings().weight[0].any()  # that of padding
    bound = 1 / 32**0.5
    assert loaded.head.weight.abs().max() <= bound  # of torch's own layers torch's own draw
    others = snapshot(loaded)
    reinitialize(loaded, 3)
    assert all(torch.equal(value, others[name]) for name, value in snapshot(loaded).items())
    reinitialize(loaded, 4)
    assert not torch.equal(loaded.encoder.get_input_embeddings().weight, others[
        next(name for name in others if name.endswith("word_embeddings.weight"))
    ])  # fmt: skip


def test_only_what_redraw_names_is_drawn(loaded: Classifier) -> None:
    before = snapshot(loaded)
    reinitialize(loaded, 0, redraw=["head.*"])
    for name, value in snapshot(loaded).items():
        assert torch.equal(value, before[name]) is not name.startswith("head."), name


def test_an_initializer_that_skips_loaded_weights_is_noticed(loaded: Classifier) -> None:
    """In transformers 5 this draws nothing: the control would be the run that it controls."""
    before = snapshot(loaded)
    with pytest.raises(LotteryError, match=r"^initialize: it does not draw 'encoder\..*_init_weights.*skips"):
        reinitialize(loaded, 0, lambda module: module.encoder.apply(module.encoder._init_weights))
    with pytest.raises(LotteryError, match=r"^initialize: it does not draw 'encoder\."):
        reinitialize(loaded, 0, lambda module: module.encoder.init_weights())
    assert all(torch.equal(value, before[name]) for name, value in snapshot(loaded).items())


def test_a_loaded_model_keeps_its_flags_so_that_transformers_does_not_draw_it_later(loaded: Classifier) -> None:
    reinitialize(loaded, 0)
    drawn = snapshot(loaded)
    loaded.encoder.init_weights()
    assert all(torch.equal(value, drawn[name]) for name, value in snapshot(loaded).items())


def test_a_parameter_that_the_model_does_not_draw_is_named() -> None:
    class Scaled(transformers.BertModel):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.factor = nn.Parameter(torch.ones(2))

    module = Scaled(configurations()[0])
    with pytest.raises(LotteryError, match=r"^rewind: random cannot draw 'factor' again, as _init_weights of Scaled"):
        reinitialize(module, 0)
    reinitialize(module, 0, redraw=["*weight"])


def test_each_round_of_the_control_is_drawn_anew_and_times_its_mask(loaded: Classifier) -> None:
    lottery = Lottery(Settings(rewind="random", scope="global", amount=0.5, include=["encoder.*"], seed=1))
    first, starts = snapshot(loaded), []
    for _ in range(3):
        lottery.begin_round(loaded)
        starts.append(snapshot(loaded))
        lottery.end_round(loaded)
    assert all(torch.equal(value, first[name]) for name, value in starts[0].items())
    name = next(name for name in first if name.endswith("word_embeddings.weight"))
    assert not torch.equal(starts[1][name], starts[2][name])
    assert all(not starts[2][name][~alive].any() for name, alive in lottery.mask.items())
