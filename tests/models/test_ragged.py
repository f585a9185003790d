"""`read_ragged` against torch's packed layers: outputs, last states, and the gradients of all that has one."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrence import HIDDEN, INPUT, LAYERS, LENGTHS, assert_all_close, learn, normal, packed, upstream
from torch import Tensor, nn

from lt_lightning.kernels.ragged_rnn import arrange, can_step, read_ragged
from lt_lightning.models import RecurrentClassifier
from lt_lightning.models.rnn import classifier as recurrent_module
from lt_lightning.models.rnn.classifier import build_recurrent, read_to_end, run_recurrent


def layers_of(
    cell: str, layers: int = 1, bidirectional: bool = True, dtype: torch.dtype = torch.float64, **more
) -> nn.RNNBase:
    """With weights and biases drawn as torch draws them, none of them zero."""
    torch.manual_seed(layers)
    return LAYERS[cell](INPUT, HIDDEN, layers, batch_first=True, bidirectional=bidirectional, dtype=dtype, **more)


def first_state(theirs: nn.RNNBase, batch: int, dtype: torch.dtype) -> list[Tensor]:
    runs = theirs.num_layers * (1 + theirs.bidirectional)
    return [normal(runs, batch, HIDDEN, seed=7 + kind, dtype=dtype) for kind in range(1 + (theirs.mode == "LSTM"))]


@pytest.mark.parametrize("given_state", [False, True], ids=["zero_state", "given_state"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=["double", "single"])
def test_outputs_states_and_gradients_equal_the_packed_forms(dtype, atol, cell, layers, bidirectional, given_state):
    theirs = layers_of(cell, layers, bidirectional, dtype)
    inputs = normal(len(LENGTHS), 8, INPUT, dtype=dtype)
    state = first_state(theirs, len(LENGTHS), dtype) if given_state else []
    ours = learn(partial(read_ragged, theirs), [*theirs.parameters()], inputs, LENGTHS, state)
    assert_all_close(ours, learn(partial(packed, theirs), [*theirs.parameters()], inputs, LENGTHS, state), atol)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    cell=st.sampled_from(sorted(LAYERS)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    padding=st.integers(0, 3),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    only_states=st.booleans(),
)
def test_any_lengths_in_any_order_equal_the_packed_form(cell, lengths, padding, layers, bidirectional, only_states):
    theirs = layers_of(cell, layers, bidirectional)
    inputs = normal(len(lengths), max(lengths) + padding, INPUT, seed=len(lengths))

    state = first_state(theirs, len(lengths), torch.float64)
    arguments = [*theirs.parameters()], inputs, torch.tensor(lengths), state, only_states
    ours = learn(partial(read_ragged, theirs, outputs=not only_states), *arguments)
    assert_all_close(ours, learn(partial(packed, theirs), *arguments), 1e-12)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), padding=st.integers(0, 2))
def test_positions_lie_step_after_step_each_once(lengths: list[int], padding: int) -> None:
    width = max(lengths) + padding
    ragged = arrange(torch.tensor(lengths), width)
    words = [divmod(place, width) for place in ragged.places.tolist()]
    assert sorted(words) == [(row, at) for row, length in enumerate(lengths) for at in range(length)]
    assert [at for _, at in words] == sorted(at for _, at in words)
    assert ragged.counts == [sum(length > at for length in lengths) for at in range(max(lengths))]
    for (row, at), mirror in zip(words, ragged.mirror.tolist(), strict=True):
        assert words[mirror] == (row, lengths[row] - 1 - at)
    later = [word for word in words if word[1] > 0]
    assert [words[place] for place in ragged.before.tolist()] == [(row, at - 1) for row, at in later]


@pytest.mark.parametrize("lengths", [[0, 2], [2, 6]])
def test_lengths_that_no_text_can_have_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="each must be in 1 … 5"):
        arrange(torch.tensor(lengths), 5)


@pytest.mark.parametrize("cell", LAYERS)
def test_what_lies_beyond_a_text_is_not_looked_at_and_gets_no_gradient(cell: str) -> None:
    theirs = layers_of(cell, 2)
    inputs = normal(len(LENGTHS), 7, INPUT)
    outside = torch.arange(7) >= LENGTHS[:, None]
    clean = learn(partial(read_ragged, theirs), [*theirs.parameters()], inputs, LENGTHS, [])
    dirty = learn(
        partial(read_ragged, theirs),
        [*theirs.parameters()],
        inputs.masked_fill(outside[:, :, None], math.nan),
        LENGTHS,
        [],
    )
    assert all(torch.equal(one, other) for one, other in zip(clean, dirty, strict=True))
    assert not clean[0][outside].any()  # the outputs
    assert not clean[3 if cell == "lstm" else 2][outside].any()  # the gradient of the inputs


@pytest.mark.parametrize("cell", LAYERS)
def test_a_long_texts_gradients_fade_as_the_packed_forms_do(cell: str) -> None:
    """Past the place where single precision ends: what is dropped there is nothing beside what is kept."""
    theirs = layers_of(cell, 2, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.mul_(0.5 if name.startswith("weight_hh") else 1.0)
    lengths = torch.tensor([200, 600, 600, 120])
    inputs = normal(4, 600, INPUT, dtype=torch.float32)
    ours = learn(partial(read_ragged, theirs, outputs=False), [*theirs.parameters()], inputs, lengths, [], True)
    expected = learn(partial(packed, theirs), [*theirs.parameters()], inputs, lengths, [], True)
    assert_all_close(ours, expected, 1e-6)
    at = 2 if cell == "lstm" else 1
    assert ours[at][1, 0].any() and not ours[at][1, 300].any()  # the ends and the middle of a long text
    counts = expected[at].abs() > 1e-24
    torch.testing.assert_close(ours[at][counts], expected[at][counts], rtol=1e-2, atol=0)
    assert ours[at][ours[at] != 0].abs().min() > torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("cell", LAYERS)
def test_a_way_back_can_be_gone_twice(cell: str) -> None:
    theirs = layers_of(cell, 2)
    inputs = normal(len(LENGTHS), 7, INPUT).requires_grad_()
    total = read_ragged(theirs, inputs, LENGTHS)[0].square().sum()
    once = torch.autograd.grad(total, list(theirs.parameters()), retain_graph=True)
    again = torch.autograd.grad(total, list(theirs.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_frozen_inputs_and_weights_cost_no_gradient_and_change_no_other() -> None:
    theirs = layers_of("lstm", 2)
    inputs = normal(len(LENGTHS), 7, INPUT)
    everything = learn(partial(read_ragged, theirs), [*theirs.parameters()], inputs, LENGTHS, [])[4:]
    theirs.get_parameter("weight_ih_l0").requires_grad_(False)
    rest = [weight for weight in theirs.parameters() if weight.requires_grad]
    outputs, last = read_ragged(theirs, inputs, LENGTHS)
    results = [outputs, *last]
    for gradient, expected in zip(torch.autograd.grad(results, rest, upstream(results)), everything[1:], strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_dropout_between_layers_is_drawn_from_the_seed_and_only_in_training() -> None:
    theirs = layers_of("lstm", 2, dropout=0.5)
    inputs = normal(len(LENGTHS), 7, INPUT)

    def outputs(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return read_ragged(theirs, inputs, LENGTHS)[0]

    assert torch.equal(outputs(1), outputs(1))
    assert not torch.equal(outputs(1), outputs(2))
    theirs.eval()
    assert torch.equal(outputs(1), outputs(2))


def test_dropout_drops_the_asked_share_and_keeps_the_mean() -> None:
    theirs = nn.RNN(1, 1, 2, batch_first=True, dropout=0.25)
    with torch.no_grad():  # the first layer says tanh(2) at each place, the second tanh of a hundredth of what arrives
        for name, weight in theirs.named_parameters():
            weight.fill_({"bias_ih_l0": 2.0, "weight_ih_l1": 0.01}.get(name, 0.0))
    torch.manual_seed(0)
    outputs = read_ragged(theirs, torch.zeros(40, 100, 1), torch.full((40,), 100))[0]
    assert (outputs == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert outputs.max().item() == pytest.approx(math.tanh(0.01 * math.tanh(2) / 0.75), abs=1e-6)


@pytest.mark.parametrize("cell", LAYERS)
def test_kernels_train_the_same_classifier(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stepped = []
    monkeypatch.setattr(recurrent_module, "read_ragged", lambda *a, **k: stepped.append(1) or read_ragged(*a, **k))
    ids = torch.randint(2, 40, (6, 11), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([11, 1, 4, 8, 6, 11])
    ids[torch.arange(11) >= lengths[:, None]] = 0
    trained = {}
    for kernel, calls in (("fast", 5), ("reference", 0)):
        torch.manual_seed(0)
        network = RecurrentClassifier(40, 3, cell=cell, dim=8, hidden=6, dropout=0.0, kernel=kernel).double()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        stepped.clear()
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(ids, lengths), lengths % 3).backward()
            optimizer.step()
        assert len(stepped) == calls
        trained[kernel] = network.state_dict()
    for name, weight in trained["fast"].items():
        torch.testing.assert_close(weight, trained["reference"][name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", ["fast", "reference"])
def test_reading_to_the_end_leaves_out_nothing_but_the_outputs(kernel) -> None:
    layers = build_recurrent("lstm", "torch", INPUT, HIDDEN, 2, bidirectional=True)
    inputs = normal(len(LENGTHS), 7, INPUT, dtype=torch.float32)
    expected = run_recurrent(layers, inputs, LENGTHS, kernel=kernel)[1]
    for one, other in zip(read_to_end(layers, inputs, LENGTHS, kernel=kernel), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers", [
    nn.LSTM(INPUT, HIDDEN, batch_first=True, proj_size=2),
    nn.LSTM(INPUT, HIDDEN, batch_first=True, bias=False),
    nn.RNN(INPUT, HIDDEN, batch_first=True, nonlinearity="relu"),
], ids=["projected", "without_biases", "relu"])  # fmt: skip
def test_layers_that_it_does_not_serve_are_read_packed(layers: nn.RNNBase) -> None:
    inputs = normal(len(LENGTHS), 7, INPUT, dtype=torch.float32)
    assert not can_step(layers, inputs, None)
    outputs, _ = run_recurrent(layers, inputs, LENGTHS)
    assert torch.equal(outputs, packed(layers, inputs, LENGTHS, None)[0])


def test_mixed_precision_and_hooks_are_left_to_torch() -> None:
    layers, inputs = layers_of("gru", dtype=torch.float32), normal(len(LENGTHS), 7, INPUT, dtype=torch.float32)
    assert can_step(layers, inputs, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_step(layers, inputs, None)
        outputs, _ = run_recurrent(layers, inputs, LENGTHS)
    assert outputs.isfinite().all()
    seen = []
    layers.register_forward_hook(lambda *_: seen.append(1))
    run_recurrent(layers, inputs, LENGTHS)
    assert seen == [1]


def test_without_gradients_the_numbers_are_the_same() -> None:
    theirs = layers_of("lstm", 2)
    inputs = normal(len(LENGTHS), 7, INPUT)
    expected = read_ragged(theirs, inputs, LENGTHS)[0]
    for switch in (torch.no_grad, torch.inference_mode):
        with switch():
            assert torch.equal(read_ragged(theirs, inputs, LENGTHS)[0], expected)
