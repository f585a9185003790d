"""The faults that `trials.planted` plants, each with the tests and trials that must see it.

To add one, add four lines: its name, its file, the right text and the wrong one, and what must see it. The right text
must be in the file exactly once. Name the fastest test that sees it, and a trial only where no test comes near.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault.

    Attributes:
        name: what is wrong, in a few words.
        file: the file below the checkout.
        old: the right text.
        new: the wrong text.
        seen_by: tests by their pytest names, and trials with their arguments; each must see it.
    """

    name: str
    file: str
    old: str
    new: str
    seen_by: tuple[str, ...]


_LOTTERY = (
    Fault(
        "the largest weights are pruned", "lt_lightning/lottery/criteria.py",
        "parameter.detach().abs()", "-parameter.detach().abs()",
        ("tests/lottery/test_lottery_criteria.py::test_magnitude_is_the_absolute_value",),
    ),
    Fault(
        "one entry too few is pruned", "lt_lightning/lottery/pruning.py",
        "gone = alive & (scores <= limit)", "gone = alive & (scores < limit)",
        ("tests/lottery/test_lottery_prune.py::test_counts_are_exact_whatever_the_scores",),
    ),
    Fault(
        "the last of equal scores go first", "lt_lightning/lottery/pruning.py",
        "positions[: count -", "positions.flip(0)[: count -",
        ("tests/lottery/test_lottery_prune.py::test_among_equals_the_first_positions_go",),
    ),
    Fault(
        "a percentile is not interpolated", "lt_lightning/lottery/pruning.py",
        "low + (high - low) * (index - int(index))", "low",
        ("tests/lottery/test_lottery_prune.py::test_percentiles_of_any_scores_are_numpys",),
    ),
    Fault(
        "ranks are off by one", "lt_lightning/lottery/ranks.py",
        "living.kthvalue(rank)", "living.kthvalue(max(1, rank - 1))",
        ("tests/lottery/test_lottery_ranks.py::test_ranks_of_many_are_those_of_kthvalue",),
    ),
    Fault(
        "pruned entries get gradients", "lt_lightning/lottery/freezing.py",
        "_keep(param.grad, bits)", "pass",
        ("tests/lottery/test_lottery_freezing.py::test_pruned_entries_have_no_gradient_and_the_living_keep_theirs",),
    ),
    Fault(
        "the mask is not applied after a step", "lt_lightning/lottery/freezing.py",
        "else:\n                    self.freeze_weights()", "else:\n                    pass",
        ("tests/lottery/test_lottery_freezing.py::test_an_optimizer_of_ones_own_is_not_trusted",),
    ),
    Fault(
        "an optimizer's moments of pruned entries are kept", "lt_lightning/lottery/freezing.py",
        "            self.freeze_moments(optimizer)\n", "",
        ("tests/lottery/test_lottery_freezing.py::"
         "test_an_optimizer_that_remembers_the_whole_network_does_not_move_the_pruned",),
    ),
    Fault(
        "seeds do not depend on the round", "lt_lightning/lottery/seeds.py",
        "map(repr, parts)", "map(repr, parts[:2])",
        ("tests/lottery/test_lottery_seeds.py::test_seeds_are_the_same_for_ever",),
    ),
    Fault(
        "random scores are the same in every round", "lt_lightning/lottery/rounds.py",
        "\"criterion\", self.round + 1)", "\"criterion\")",
        ("tests/lottery/test_lottery_rounds.py::test_chance_draws_anew_each_round",),
    ),
    Fault(
        "buffers are not rewound", "lt_lightning/lottery/rewinding.py",
        "            yield name, buffer", "            continue",
        ("tests/callbacks/test_pruning_writes.py::test_parameters_and_buffers_rewind_whatever_state_dict_returns",),
    ),
)  # fmt: skip

_CALLBACK = (
    Fault(
        "an evaluation puts the lottery back", "lt_lightning/callbacks/pruning.py",
        "if self._stage not in (None, \"fit\"):", "if False:",
        ("tests/callbacks/test_pruning_rounds.py::"
         "test_an_evaluation_that_loads_a_checkpoint_leaves_the_lottery_alone",),
    ),
    Fault(
        "a module's hooks revive pruned entries", "lt_lightning/callbacks/pruning.py",
        "self._freezer.freeze_weights(written=written)", "pass",
        ("tests/callbacks/test_pruning_writes.py::"
         "test_pruned_entries_are_zero_whatever_hook_of_the_module_writes_them",),
    ),
    Fault(
        "a fit without a step counts as a round", "lt_lightning/callbacks/pruning.py",
        "if not self._steps and not may_step_unseen:", "if False:",
        ("tests/callbacks/test_pruning_rounds.py::test_a_fit_without_a_step_is_an_error_and_no_round",),
    ),
    Fault(
        "weights that are not finite are ranked", "lt_lightning/lottery/rounds.py",
        "if not param.isfinite().all():", "if False:",
        ("tests/callbacks/test_pruning_rounds.py::"
         "test_weights_that_are_not_finite_are_an_error_that_names_the_parameter",),
    ),
)  # fmt: skip

_TRAINING = (
    Fault(
        "dropout draws the same in every epoch", "lt_lightning/callbacks/seeding.py",
        ', "epoch", trainer.current_epoch', "",
        ("tests/callbacks/test_seeding.py::test_other_seeds_rounds_epochs_and_processes_draw_differently",),
    ),
    Fault(
        "rows are in the same order in every epoch", "lt_lightning/data/batches.py",
        "self._shuffle[1], self._epoch)", "self._shuffle[1])",
        ("tests/data/test_batches.py::test_the_shuffle_depends_on_seed_round_and_epoch_alone",),
    ),
    Fault(
        "validation rows train, too", "lt_lightning/data/splits.py",
        "np.setdiff1d(shuffled, valid, assume_unique=True)", "shuffled",
        ("tests/data/test_splits.py::test_every_row_is_in_one_part_and_each_class_in_proportion",),
    ),
    Fault(
        "a loss that is not a number passes", "lt_lightning/callbacks/finite.py",
        "if loss is None or math.isfinite(loss):", "if True:",
        ("tests/callbacks/test_finite.py::test_a_test_loss_that_is_not_finite_stops",),
    ),
    Fault(
        "the worst weights of a round are kept as its best", "lt_lightning/callbacks/best.py",
        "or loss < self._lowest", "or loss > self._lowest",
        ("tests/callbacks/test_pruning_best.py::"
         "test_the_module_ends_with_the_weights_of_the_epoch_with_the_lowest_loss",),
    ),
    Fault(
        "rows and columns of the confusion are exchanged", "lt_lightning/models/learner.py",
        "test_confusion.update(predicted, answers.targets)", "test_confusion.update(answers.targets, predicted)",
        ("tests/models/test_learner.py::"
         "test_the_confusion_matrix_counts_rows_by_class_and_prediction_of_the_last_test_alone",),
    ),
)  # fmt: skip

_RESULTS = (
    Fault(
        "an interval is of 90 per cent", "lt_lightning/results/statistics.py",
        "stdtrit(n - 1, 0.975)", "stdtrit(n - 1, 0.95)",
        ("tests/results/test_statistics.py::test_the_interval_is_the_tables",),
    ),
    Fault(
        "the largest winning ticket is called the smallest", "lt_lightning/results/winners.py",
        "return min(winners", "return max(winners",
        ("tests/results/test_records.py::test_best_and_smallest_winning_ticket",),
    ),
    Fault(
        "headings of pages are not escaped", "lt_lightning/results/frame.py",
        "<h1>{escape(opening.name)}</h1>", "<h1>{opening.name}</h1>",
        ("tests/results/test_hostile_names.py::test_the_report_of_a_run_shows_hostile_names_as_words",),
    ),
    Fault(
        "a ticket's checksum is not compared", "lt_lightning/results/sealed.py",
        "or seal != _seal_of(data)", "or False",
        ("tests/results/test_sealed.py::test_every_single_bit_that_flips_is_noticed",),
    ),
    Fault(
        "the checksum of a round's record is not compared", "lt_lightning/results/rounds.py",
        "if seal_json(content) != text or (", "if (",
        ("tests/results/test_rounds.py::test_a_record_is_read_as_it_was_written_and_no_other_way",),
    ),
    Fault(
        "a checkpoint's checksum is not compared", "lt_lightning/callbacks/round_checkpoint.py",
        "if hashlib.sha256(path.read_bytes()).hexdigest() == match[3]:", "if path.read_bytes():",
        ("tests/callbacks/test_round_checkpoint.py::test_a_changed_checkpoint_is_named_and_the_one_before_is_found",),
    ),
)  # fmt: skip

_RESUMING = (
    Fault(
        "a checkpoint of round 0 lacks the weights to rewind to", "lt_lightning/experiment.py",
        "without=pruning.state_key if round else None", "without=pruning.state_key",
        ("trials.kills --kills 1 --only epoch",),
    ),
    Fault(
        "a round begins anew though a checkpoint is there", "lt_lightning/experiment.py",
        "ckpt_path=kept, weights_only=True", "ckpt_path=None, weights_only=True",
        ("trials.kills --kills 1 --only none",),
    ),
    Fault(
        "two processes work on one run", "lt_lightning/results/holding.py",
        "lock.acquire(timeout=0)", "pass",
        ("tests/resume/test_resume_command.py::test_a_second_process_is_told_who_holds_the_directory",),
    ),
    Fault(
        "files are written in place", "lt_lightning/results/files.py",
        "with temporary.open(\"wb\") as file:\n            yield file",
        "with (temporary := path if name is None else temporary).open(\"wb\") as file:\n            yield file",
        ("trials.kills --kills 1 --only init",),
    ),
)  # fmt: skip

_TRIALS = (
    Fault(
        "the memory of a refused file is not checked", "trials/watching.py",
        "        if measured:\n", "        if measured and __import__(\"sys\").exc_info()[0] is None:\n",
        ("tests/trials/test_fuzz.py::test_faults_are_reported_with_the_mutants_number",),
    ),
    Fault(
        "the fuzz lets damaged files be read", "trials/fuzz.py",
        "if not subject.may_read(damaged):", "if False:",
        ("tests/trials/test_fuzz.py::test_a_damaged_ticket_that_is_read_is_a_failure",),
    ),
    Fault(
        "the kills compare nothing", "trials/kills.py",
        "if there.get(name) != expected.get(name)", "if False",
        ("tests/trials/test_kills.py::test_each_difference_is_reported",),
    ),
    Fault(
        "the kills never kill", "trials/moments.py",
        "os.kill(self._process, signal.SIGKILL)", "pass",
        ("tests/trials/test_kills.py::test_a_process_is_killed_at_its_moment",),
    ),
    Fault(
        "every fault counts as seen", "trials/planted.py",
        "return self.code == (_PASSED if self.fault is None else _FAILED)", "return True",
        ("tests/trials/test_planted.py::test_a_fault_that_no_test_sees_is_reported",),
    ),
)  # fmt: skip

FAULTS = (*_LOTTERY, *_CALLBACK, *_TRAINING, *_RESULTS, *_RESUMING, *_TRIALS)
"""All faults."""
