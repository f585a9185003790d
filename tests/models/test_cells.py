"""`Recurrent` against torch's own networks, and its cells against their equations in scalar loops."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from recurrence import HIDDEN, INPUT, LAYERS, LENGTHS, assert_all_close, learn, normal, packed
from torch import Tensor

from lt_lightning.models import RecurrentClassifier
from lt_lightning.models.rnn.cells import CELLS, Weights, find_cell
from lt_lightning.models.rnn.unrolled import Recurrent, draw_recurrent_weights

BATCH, LENGTH = 5, 7
States = tuple[Tensor, ...]


def network(cell: str, layers: int = 1, **settings) -> Recurrent:
    """With biases too: they start as zero, and would hide what is wrong with them."""
    made = Recurrent(cell, INPUT, HIDDEN, layers, **settings).double()
    with torch.no_grad():
        for seed, weight in enumerate(made.parameters()):
            weight.copy_(normal(*weight.shape, seed=seed) / 2)
    return made


def first_state(cell: str, runs: int, dtype: torch.dtype = torch.float64) -> States:
    return tuple(normal(runs, BATCH, HIDDEN, seed=9 + kind, dtype=dtype) for kind in range(CELLS[cell].states))


def as_tuple(state: Tensor | States) -> States:
    return (state,) if isinstance(state, Tensor) else tuple(state)


@pytest.mark.parametrize("given_state", [False, True], ids=["zero_state", "given_state"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=["double", "single"])
def test_outputs_states_and_gradients_equal_torchs(dtype, atol, cell, layers, bidirectional, lengths, given_state):
    theirs = LAYERS[cell](INPUT, HIDDEN, layers, batch_first=True, bidirectional=bidirectional, dtype=dtype)
    ours = Recurrent(cell, INPUT, HIDDEN, layers, bidirectional=bidirectional).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    inputs = normal(BATCH, LENGTH, INPUT, dtype=dtype)
    state = first_state(cell, layers * (1 + bidirectional), dtype) if given_state else ()
    assert_all_close(
        learn(ours, list(ours.parameters()), inputs, lengths, state),
        learn(partial(packed, theirs), list(theirs.parameters()), inputs, lengths, state),
        atol,
    )


@pytest.mark.parametrize("cell", LAYERS)
def test_weights_load_into_torchs_network_and_lie_in_its_order(cell: str) -> None:
    theirs = LAYERS[cell](INPUT, HIDDEN, 2, bidirectional=True)
    ours = Recurrent(cell, INPUT, HIDDEN, 2, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    for (our_name, our_weight), (name, weight) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert our_name == name
        assert torch.equal(our_weight, weight)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def chung_by_hand(weights: dict[str, list], x: list[float], h: list[float]) -> list[float]:
    """One text, one position, one entry at a time."""
    size = len(h)

    def gate(block: int, unit: int, past: list[float]) -> float:
        row = block * size + unit
        total = weights["bias_ih_l0"][row] + weights["bias_hh_l0"][row]
        total += sum(weights["weight_ih_l0"][row][i] * x[i] for i in range(len(x)))
        return total + sum(weights["weight_hh_l0"][row][j] * past[j] for j in range(size))

    seen = [sigmoid(gate(0, unit, h)) * h[unit] for unit in range(size)]
    after = []
    for unit in range(size):
        z = sigmoid(gate(1, unit, h))
        after.append((1 - z) * h[unit] + z * math.tanh(gate(2, unit, seen)))
    return after


def test_gru_chung_equals_its_equations_in_scalar_loops() -> None:
    gru = network("gru_chung")
    weights = {name: weight.tolist() for name, weight in gru.named_parameters()}
    inputs, state = normal(BATCH, LENGTH, INPUT), normal(1, BATCH, HIDDEN, seed=1)
    outputs, last = gru(inputs, LENGTHS, state)
    for row in range(BATCH):
        h = state[0, row].tolist()
        for t in range(int(LENGTHS[row])):
            h = chung_by_hand(weights, inputs[row, t].tolist(), h)
            torch.testing.assert_close(outputs[row, t].tolist(), h, rtol=0, atol=1e-12)
        torch.testing.assert_close(last[0, row].tolist(), h, rtol=0, atol=1e-12)


def test_the_two_grus_differ_even_with_the_update_gate_turned() -> None:
    gru, chung = network("gru"), network("gru_chung")
    chung.load_state_dict(gru.state_dict())
    inputs = normal(BATCH, LENGTH, INPUT)
    assert (gru(inputs)[0] - chung(inputs)[0]).abs().max() > 0.1
    turn_update_gate(chung)
    difference = (gru(inputs)[0] - chung(inputs)[0]).abs()
    assert difference[:, 0].max() > 0.01  # from zero, r meets the bias of the one and nothing of the other
    assert difference[:, 1:].max() > 0.05


@torch.no_grad()
def turn_update_gate(gru: Recurrent) -> None:
    for weight in gru.parameters():
        weight[HIDDEN : 2 * HIDDEN].neg_()


def test_the_two_grus_agree_where_the_candidate_has_no_past_and_the_update_gate_is_turned() -> None:
    gru, chung = network("gru"), network("gru_chung")
    with torch.no_grad():
        gru.get_parameter("weight_hh_l0")[2 * HIDDEN :] = 0
        gru.get_parameter("bias_hh_l0")[2 * HIDDEN :] = 0
    chung.load_state_dict(gru.state_dict())
    turn_update_gate(chung)
    inputs, state = normal(BATCH, LENGTH, INPUT), normal(1, BATCH, HIDDEN, seed=1)
    assert_all_close(list(gru(inputs, None, state)), list(chung(inputs, None, state)), 1e-14)


@pytest.mark.parametrize(("cell", "update"), [("gru", 1.0), ("gru_chung", -1.0)])
def test_a_gru_with_its_gate_shut_keeps_its_state(cell: str, update: float) -> None:
    gru = network(cell)
    with torch.no_grad():
        gru.get_parameter("bias_ih_l0")[HIDDEN : 2 * HIDDEN] = update * 100
    state = normal(1, BATCH, HIDDEN)
    assert_all_close([gru(normal(BATCH, LENGTH, INPUT), None, state)[1]], [state], 1e-14)


def test_an_lstm_that_neither_writes_nor_forgets_keeps_its_memory() -> None:
    lstm = network("lstm")
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[:HIDDEN] = -100
        lstm.get_parameter("bias_ih_l0")[HIDDEN : 2 * HIDDEN] = 100
    h, c = first_state("lstm", 1)
    assert_all_close([lstm(normal(BATCH, LENGTH, INPUT), None, (h, c))[1][1]], [c], 1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_a_step_are_those_of_finite_differences(cell: str) -> None:
    weights = [weight.detach().clone().requires_grad_() for weight in network(cell).parameters()]
    state = [kind[0].requires_grad_() for kind in first_state(cell, 1)]

    def step(inputs: Tensor, *rest: Tensor) -> States:
        return find_cell(cell).step(inputs, rest[: len(state)], Weights(*rest[len(state) :]))

    assert torch.autograd.gradcheck(step, [normal(BATCH, INPUT).requires_grad_(), *state, *weights])


@pytest.mark.parametrize("cell", CELLS)
def test_position_by_position_equals_the_whole_text(cell: str) -> None:
    reader, inputs = network(cell, 2), normal(BATCH, LENGTH, INPUT)
    expected, last = reader(inputs)
    state, outputs = None, []
    for t in range(LENGTH):
        output, state = reader(inputs[:, t : t + 1], None, state)
        outputs.append(output)
    assert_all_close([torch.cat(outputs, dim=1), *as_tuple(state)], [expected, *as_tuple(last)], 1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing_even_if_it_is_nan(cell: str) -> None:
    reader, inputs = network(cell, 2, bidirectional=True), normal(BATCH, LENGTH, INPUT)
    padding = (torch.arange(LENGTH) >= LENGTHS[:, None])[:, :, None]
    runs = [
        learn(reader, list(reader.parameters()), inputs.masked_fill(padding, filling), LENGTHS, first_state(cell, 4))
        for filling in (0.0, 1e6, torch.nan)
    ]
    outputs, of_inputs = runs[0][0], runs[0][1 + CELLS[cell].states]
    assert not outputs.masked_select(padding).any()
    assert not of_inputs.masked_select(padding).any()
    for garbage in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(garbage, runs[0], strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_is_read_the_same_alone_and_in_company(cell: str) -> None:
    reader, inputs = network(cell, 2, bidirectional=True), normal(BATCH, LENGTH, INPUT)
    together, last = reader(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, state = reader(inputs[row : row + 1, :length])
        pairs = [kind[:, row : row + 1] for kind in as_tuple(last)]
        assert_all_close([together[row : row + 1, :length], *pairs], [alone, *as_tuple(state)], 1e-14)


def test_dropout_keeps_the_scale_of_what_the_next_layer_reads() -> None:
    share, reader = 0.3, Recurrent("rnn", 1, 1, 2, dropout=0.3).double()
    with torch.no_grad():
        for weight in reader.parameters():
            weight.zero_()
        reader.get_parameter("bias_ih_l0").fill_(0.5)  # so that the first layer puts out tanh(0.5) everywhere
        reader.get_parameter("weight_ih_l1").fill_(1.0)
    torch.manual_seed(0)
    count = 20_000
    outputs = reader(torch.zeros(count // 10, 10, 1, dtype=torch.float64))[0]
    dropped = outputs == 0
    assert abs(float(dropped.sum()) - share * count) < 4 * math.sqrt(count * share * (1 - share))
    kept = torch.full((), math.tanh(math.tanh(0.5) / (1 - share)), dtype=torch.float64)
    torch.testing.assert_close(outputs[~dropped], kept.expand(int((~dropped).sum())), rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_acts_between_the_layers_alone_and_in_training_alone(cell: str) -> None:
    inputs, settings = normal(BATCH, LENGTH, INPUT), {"dropout": 0.5, "bidirectional": True}
    single, double = network(cell, 1, **settings), network(cell, 2, **settings)
    for reader in (single, double):
        plain = network(cell, reader.num_layers, bidirectional=True)
        assert torch.equal(reader.eval()(inputs)[0], plain(inputs)[0])
    assert torch.equal(single.train()(inputs)[0], single.eval()(inputs)[0])
    calm, (trained, last) = double.eval()(inputs), double.train()(inputs)
    assert torch.equal(as_tuple(last)[0][:2], as_tuple(calm[1])[0][:2])  # the first layer's
    assert not torch.equal(trained, calm[0])
    assert trained.all()  # none of the last layer's is dropped,
    assert torch.equal(trained[:, -1, :HIDDEN], as_tuple(last)[0][2])  # nor scaled


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_first_weights_are_orthogonal_xavier_and_zero(cell: str) -> None:
    torch.manual_seed(0)
    for name, weight in Recurrent(cell, 80, 60, 2, bidirectional=True).named_parameters():
        if name.startswith("weight_hh"):
            torch.testing.assert_close(weight.T @ weight, torch.eye(60), rtol=0, atol=1e-5)
        elif name.startswith("weight_ih"):
            expected = 2 / sum(weight.shape)
            assert abs(float(weight.var()) / expected - 1) < 5 * math.sqrt(2 / weight.numel())
            assert abs(float(weight.mean())) < 5 * math.sqrt(expected / weight.numel())
        else:
            assert not weight.any()


@pytest.mark.parametrize("cell", LAYERS)
def test_torchs_networks_draw_the_same_weights(cell: str) -> None:
    theirs = LAYERS[cell](INPUT, HIDDEN, 2, bidirectional=True)
    torch.manual_seed(3)
    draw_recurrent_weights(theirs)
    torch.manual_seed(3)
    ours = Recurrent(cell, INPUT, HIDDEN, 2, bidirectional=True)
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_bilstm_draws_the_same_weights() -> None:
    torch.manual_seed(3)
    network = RecurrentClassifier(20, 3, dim=INPUT, hidden=HIDDEN)
    ours = Recurrent("lstm", INPUT, HIDDEN, 2, bidirectional=True)
    torch.manual_seed(4)
    network.reset_parameters()
    torch.manual_seed(4)
    network.embedding.reset_parameters()
    ours.reset_parameters()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), network.rnn.parameters(), strict=True))


@pytest.mark.parametrize(("make", "said"), [
    (lambda: find_cell("gruu"), "'gruu' is none of rnn, gru, gru_chung, lstm"),
    (lambda: Recurrent("gruu", INPUT, HIDDEN), "'gruu' is none of rnn, gru, gru_chung, lstm"),
    *((lambda sizes=sizes: Recurrent("rnn", *sizes), "each must be ≥ 1") for sizes in ((0, 4), (3, 0), (3, 4, 0))),
    *((lambda p=p: Recurrent("rnn", 3, 4, dropout=p), r"dropout .* is not in \[0, 1\]") for p in (-0.1, 1.5)),
    (lambda: network("gru")(normal(BATCH, LENGTH, INPUT + 1)), rf"expected \(batch, ≥ 1, {INPUT}\)"),
    (lambda: network("gru")(normal(BATCH, 0, INPUT)), rf"expected \(batch, ≥ 1, {INPUT}\)"),
    *(
        (lambda n=n: network("gru")(normal(2, 7, INPUT), torch.tensor([7, n])), "each must be in 1 … 7")
        for n in (-1, 0, 8)
    ),
])  # fmt: skip
def test_settings_and_inputs_that_cannot_be_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_state_of_another_cell_or_shape_is_refused() -> None:
    inputs, state = normal(BATCH, LENGTH, INPUT), normal(2, BATCH, HIDDEN)
    for cell, given in [("lstm", state), ("gru", (state, state)), ("gru", state[:1]), ("lstm", (state, state[:1]))]:
        with pytest.raises(ValueError, match=f"the state of {cell} is"):
            network(cell, 2)(inputs, None, given)
