"""The faults that `trials.planted` plants, each with the tests and trials that must find it.

To add one, give its name and file, the right text and the wrong one, and what must find it. The right text must be in
the file exactly once. Name the fastest test that finds it, and a trial only if no test does.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault.

    Attributes:
        name: a short description.
        file: the file below the checkout.
        old: the right text.
        new: the wrong text.
        seen_by: tests by their pytest names, and trials with their arguments; each must find it.
    """

    name: str
    file: str
    old: str
    new: str
    seen_by: tuple[str, ...]


def fault(name: str, file: str, old: str, new: str, *seen_by: str) -> Fault:
    """Return a fault."""
    return Fault(name, file, old, new, seen_by)


_LOTTERY = (
    fault("the largest weights are pruned", "lt_lightning/lottery/criteria.py",
        "    return {name: parameter.detach().abs()", "    return {name: -parameter.detach().abs()",
        "tests/lottery/test_lottery_criteria.py::test_magnitude_is_the_absolute_value"),
    fault("one entry too few is pruned", "lt_lightning/lottery/ranking/lowest.py",
        "gone = alive & (scores <= limit)", "gone = alive & (scores < limit)",
        "tests/lottery/test_lottery_prune.py::test_counts_are_exact_whatever_the_scores"),
    fault("the last of equal scores go first", "lt_lightning/lottery/ranking/lowest.py",
        "positions[: count -", "positions.flip(0)[: count -",
        "tests/lottery/test_lottery_prune.py::test_among_equals_the_first_positions_go"),
    fault("a percentile is not interpolated", "lt_lightning/lottery/ranking/lowest.py",
        "low + (high - low) * (index - int(index))", "low",
        "tests/lottery/test_lottery_prune.py::test_percentile_rounds_equal_the_notebooks_rule"),
    fault("ranks are off by one", "lt_lightning/lottery/ranking/ranks.py",
        "living.kthvalue(rank)", "living.kthvalue(max(1, rank - 1))",
        "tests/lottery/test_lottery_ranks.py::test_ranks_of_many_are_those_of_kthvalue"),
    fault("pruned entries get gradients", "lt_lightning/lottery/freezing.py",
        "continue\n            param.grad = _masked(param.grad, bits)", "continue",
        "tests/lottery/test_lottery_freezing.py::test_pruned_entries_have_no_gradient_and_the_living_keep_theirs"),
    fault("the mask is not applied after a step", "lt_lightning/lottery/freezing.py",
        "self.freeze_weights(written=True)\n\n            handles", "pass\n\n            handles",
        "tests/lottery/test_lottery_freezing.py::test_an_optimizer_of_ones_own_is_not_trusted"),
    fault("an optimizer's moments of pruned entries are kept", "lt_lightning/lottery/freezing.py",
        "            self.freeze_moments(optimizer)\n", "",
        "tests/lottery/test_lottery_freezing.py::test_what_an_optimizer_remembers_of_pruned_entries_is_forgotten"),
    fault("seeds do not depend on the round", "lt_lightning/lottery/seeds.py",
        "map(repr, parts)", "map(repr, parts[:2])",
        "tests/lottery/test_lottery_seeds.py::test_seeds_are_the_same_for_ever"),
    fault("random scores are the same in every round", "lt_lightning/lottery/choosing.py",
        "\"criterion\", round)", "\"criterion\")",
        "tests/lottery/test_lottery_rounds.py::test_chance_draws_anew_each_round"),
    fault("buffers are not rewound", "lt_lightning/lottery/rewinding.py",
        "            yield name, buffer", "            continue",
        "tests/callbacks/test_pruning_writes.py::test_parameters_and_buffers_rewind_whatever_state_dict_returns"),
    fault("erk densities are not capped", "lt_lightning/lottery/ranking/erk.py",
        "if scale * weights[name] >= caps[name]]", "if caps[name] < 0]",
        "tests/lottery/test_lottery_scopes.py::test_erk_is_the_authors_loop_and_keeps_the_density_of_the_whole"),
    fault("groups of inputs are taken along the outputs", "lt_lightning/lottery/ranking/units.py",
        "return tensor.movedim(1, -1).reshape(-1, m)", "return tensor.reshape(-1, m)",
        "tests/lottery/test_lottery_patterns.py::test_the_inputs_of_a_convolution_lie_on_axis_1"),
    fault("units that are too large are skipped", "lt_lightning/lottery/ranking/units.py",
        "gone[order[cost[order].cumsum(0) <= limit]] = True", "gone[order[cost[order] <= limit]] = True",
        "tests/lottery/test_lottery_patterns.py::test_units_of_several_tensors_go_by_mean_score_within_the_entries_to_prune"),
    fault("dropped entries cannot grow at once", "lt_lightning/lottery/regrowing.py",
        "_highest(scores, ~kept, k)\n    units", "_highest(scores, ~alive, k)\n    units",
        "tests/lottery/test_lottery_regrow.py::test_an_entry_is_dropped_and_grown_at_once_if_it_has_the_highest_score"),
)  # fmt: skip

_CALLBACK = (
    fault("an evaluation puts the lottery back", "lt_lightning/callbacks/pruning.py",
        "if self._stage not in (None, \"fit\"):", "if False:",
        "tests/callbacks/test_pruning_rounds.py::"
        "test_an_evaluation_that_loads_a_checkpoint_leaves_the_lottery_alone"),
    fault("a module's hooks revive pruned entries", "lt_lightning/callbacks/holding.py",
        "self._fit.hold.freeze(written=written)", "pass",
        "tests/callbacks/test_pruning_writes.py::"
        "test_pruned_entries_are_zero_whatever_hook_of_the_module_writes_them"),
    fault("a fit without a step counts as a round", "lt_lightning/callbacks/pruning.py",
        "if not self._fit.all_steps and not may_step_unseen:", "if False:",
        "tests/callbacks/test_pruning_rounds.py::test_a_fit_without_a_step_is_an_error_and_no_round"),
    fault("weights that are not finite are ranked", "lt_lightning/lottery/selection.py",
        "if not tensor.detach().sum().isfinite() and", "if False and",
        "tests/callbacks/test_pruning_rounds.py::"
        "test_weights_that_are_not_finite_are_an_error_that_names_the_parameter"),
)  # fmt: skip

_TRAINING = (
    fault("dropout draws the same in every epoch", "lt_lightning/callbacks/epoch_seeds.py",
        ', "epoch", trainer.current_epoch', "",
        "tests/callbacks/test_seeding.py::test_other_seeds_rounds_epochs_and_processes_draw_differently"),
    fault("rows are in the same order in every epoch", "lt_lightning/data/batches.py",
        "self._shuffle[1], self._epoch)", "self._shuffle[1])",
        "tests/data/test_batches.py::test_the_shuffle_depends_on_seed_round_and_epoch_alone"),
    fault("validation rows train, too", "lt_lightning/data/splits.py",
        "np.setdiff1d(shuffled, valid, assume_unique=True)", "shuffled",
        "tests/data/test_splits.py::test_every_row_is_in_one_part_and_each_class_in_proportion"),
    fault("a loss that is not a number passes", "lt_lightning/callbacks/finite_loss.py",
        "if loss is None or math.isfinite(loss):", "if True:",
        "tests/callbacks/test_finite.py::test_a_test_loss_that_is_not_finite_stops"),
    fault("the worst weights of a round are kept as its best", "lt_lightning/callbacks/best_weights.py",
        "or loss < self._lowest", "or loss > self._lowest",
        "tests/callbacks/test_pruning_best.py::"
        "test_the_module_ends_with_the_weights_of_the_epoch_with_the_lowest_loss"),
    fault("rows and columns of the confusion are exchanged", "lt_lightning/models/learner.py",
        "test_confusion.update(predicted, answers.targets)", "test_confusion.update(answers.targets, predicted)",
        "tests/models/test_learner.py::"
        "test_the_confusion_matrix_counts_rows_by_class_and_prediction_of_the_last_test_alone"),
)  # fmt: skip

_RESULTS = (
    fault("an interval is of 90 per cent", "lt_lightning/report/statistics.py",
        "stdtrit(n - 1, (1 + level) / 2)", "stdtrit(n - 1, level)",
        "tests/results/test_statistics.py::test_the_interval_is_the_tables"),
    fault("a claim of equality is tested like one of a difference", "lt_lightning/study/claims.py",
        "return 0.0 if claim.kind == \"better\" else -claim.margin", "return 0.0",
        "tests/study/test_study_claims.py::test_p_values_are_those_of_scipys_paired_test_and_holms_definition"),
    fault("p values are not corrected for the number of tests", "lt_lightning/report/testing.py",
        "(len(ordered) - rank) * p", "p",
        "tests/study/test_study_claims.py::test_p_values_are_those_of_scipys_paired_test_and_holms_definition"),
    fault("a study's branch retrains the tickets of another seed", "lt_lightning/study/jobs.py",
        "folder_of(name, length, arm.of, seed)", "folder_of(name, length, arm.of, 0)",
        "tests/study/test_study_file.py::test_a_branch_comes_behind_its_trunk_and_has_no_settings_of_pruning"),
    fault("a branch is compared with its own first round", "lt_lightning/runs/reading.py",
        "return self.records[0] if branch is None or self.parts else branch.full", "return self.records[0]",
        "tests/results/test_branch_comparison.py::"
        "test_winners_of_a_branch_are_as_good_as_the_trunks_full_network"),
    fault("a control trains the mask of the ticket", "lt_lightning/experiment/branch/starts.py",
        "if kind == \"pruned\":", "if kind:",
        "tests/retraining/test_branch_rounds.py::"
        "test_a_control_mask_has_the_counts_of_the_ticket_and_other_places"),
    fault("the largest winning ticket is called the smallest", "lt_lightning/runs/winners.py",
        "return min(winners", "return max(winners",
        "tests/results/test_records.py::test_best_and_smallest_winning_ticket"),
    fault("headings of pages are not escaped", "lt_lightning/report/templates/base.html.j2",
        "<h1>{{ name }}</h1>", "<h1>{{ name | safe }}</h1>",
        "tests/results/test_hostile_names.py::test_the_report_of_a_run_shows_hostile_names_as_words"),
    fault("a ticket's checksum is not compared", "lt_lightning/storage/sealed.py",
        "or seal != _seal_of(data)", "or False",
        "tests/results/test_sealed.py::test_every_single_bit_that_flips_is_noticed"),
    fault("the checksum of a round's record is not compared", "lt_lightning/runs/rounds.py",
        "if seal_json(content) != text or (", "if (",
        "tests/results/test_rounds.py::test_a_record_is_read_as_it_was_written_and_no_other_way"),
    fault("a checkpoint's checksum is not compared", "lt_lightning/experiment/round_checkpoint.py",
        "if _checksum(path) == checksum:", "if path.stat().st_size:",
        "tests/resume/test_interruption.py::test_a_changed_checkpoint_is_named_and_the_one_before_is_found"),
)  # fmt: skip

_FILES = (
    fault("a temporary file that exists is opened", "lt_lightning/storage/atomic.py",
        "os.O_CREAT | os.O_EXCL |", "os.O_CREAT |",
        "tests/results/test_files.py::test_a_name_that_exists_is_not_written_to"),
    fault("the digest of a cache is not compared", "lt_lightning/storage/cache.py",
        " or digest != _digest(path.name, arrays):", ":",
        "tests/data/test_kept.py::test_two_values_in_each_other_s_place_are_damage"),
    fault("a cache that others may write is read", "lt_lightning/kernels/owners.py",
        "if hasattr(os, \"geteuid\") and about.st_mode & _OTHERS_WRITE:", "if False:",
        "tests/data/test_kept.py::test_what_others_own_or_may_write_is_not_read"),
    fault("word numbers of a cache may lead anywhere", "lt_lightning/data/encoding.py",
        "    check_range(kept[\"ids\"], 0, len(kept[\"word_places\"]) - 1)\n", "",
        "tests/data/test_kept.py::test_word_ids_out_of_range_are_cut_anew"),
    fault("a library's files may have changed", "lt_lightning/data/sources/installed.py",
        "if _spell(self.files[file].partition(\"=\")[0], content) != self.files[file]:", "if False:",
        "tests/data/test_installed.py::test_a_file_that_is_not_as_it_was_installed_is_refused"),
    fault("weights of a packed ticket may be infinite", "lt_lightning/tickets/parameters.py",
        "raise ValueError(f\"{name!a} has values that are not finite\")\n    return Parameter",
        "pass\n    return Parameter",
        "tests/tickets/test_format.py::test_a_file_whose_parts_do_not_agree_is_refused_in_a_line"),
    fault("the cost of a packed ticket has no bound", "lt_lightning/tickets/file.py",
        "            _check_limits(parameters)\n", "",
        "tests/tickets/test_format.py::test_a_small_file_does_not_ask_for_a_lot_of_work"),
    fault("places of a packed ticket have no bound", "lt_lightning/tickets/places.py",
        "if gaps.sum(dtype=np.float64) > total or (len(gaps) and int(gaps.sum()) + len(gaps) > total):",
        "if False:",
        "tests/tickets/test_places.py::test_bytes_that_pack_never_gives_are_refused"),
    fault("probabilities are not calibrated", "lt_lightning/tickets/ticket.py",
        "(1 if raw else self.temperature)", "1",
        "tests/tickets/test_ticket.py::test_probabilities_are_of_logits_over_the_temperature"),
    fault("control characters reach the terminal", "lt_lightning/runtime/terminal.py",
        "return _UNSAFE.sub(escaped, text)", "return text",
        "tests/test_terminal.py::test_an_escaped_text_holds_nothing_that_acts_and_all_else_as_it_was"),
    fault("labels are cast to whole numbers", "lt_lightning/data/labels.py",
        "(0|[1-9][0-9]*)", "([0-9]+)",
        "tests/data/test_labels.py::test_labels_that_are_written_differently_are_different_classes"),
    fault("NaN is a class", "lt_lightning/data/labels.py",
        "for value in (\"\", \"nan\")", "for value in (\"\",)",
        "tests/data/test_labels.py::test_nan_is_missing_in_text_as_in_numbers"),
    fault("the constant output of a filter that is cut is lost", "lt_lightning/export/shrinking.py",
        "parts.add_to_bias(\"fc.bias\", constant)", "pass",
        "tests/test_shrinking.py::test_the_constant_output_of_a_dead_filter_moves_into_the_next_bias"),
    fault("a hidden unit that reads a living one is cut", "lt_lightning/export/shrinking.py",
        "more = units | of_units[:, units].any(dim=1)", "more = units",
        "tests/test_shrinking.py::test_a_recurrent_network_keeps_the_units_that_can_leave_zero"),
)  # fmt: skip

_SCHEDULES = (
    fault("an update of RigL takes a step, too", "lt_lightning/callbacks/changing.py",
        "                param.grad = None\n        return True", "                pass\n        return True",
        "tests/callbacks/test_pruning_schedules.py::test_rigl_is_the_loop_of_evci_et_al"),
    fault("gradients of pruned entries are left out of RigL's sums", "lt_lightning/callbacks/changing.py",
        "            hold.skip_pruned(not dense)\n", "            pass\n",
        "tests/models/test_learner_schedules.py::test_rigl_on_this_projects_networks_is_the_plain_loop"),
    fault("the sums of gradients are not resumed", "lt_lightning/callbacks/changing.py",
        "sums = state[\"sums\"] if state else {}", "sums = {}",
        "tests/callbacks/test_pruning_schedules.py::test_a_fit_that_resumes_ends_with_the_same_bits"),
    fault("what holds zeros follows the mask before", "lt_lightning/callbacks/changing.py",
        "            hold.renew(self._lottery.freezer(self._module), trainer)\n", "",
        "tests/callbacks/test_pruning_schedules.py::test_pruned_entries_are_zero_under_every_schedule"),
    fault("a failed round keeps the mask of its middle", "lt_lightning/lottery/rounds.py",
        "self.mask, self.changes = self._first_mask,", "self.changes =",
        "tests/callbacks/test_pruning_schedules.py::test_a_round_that_failed_begins_again_with_its_first_mask"),
    fault("an update replaces no fewer entries towards the end", "lt_lightning/lottery/schedules/during_training.py",
        "(1 + math.cos(math.pi * step / end))", "2",
        "tests/callbacks/test_pruning_schedules.py::test_set_is_the_loop_of_mocanu_et_al"),
    fault("what is kept rewinds", "lt_lightning/lottery/beginning.py",
        "        kept = snapshot(module) if self.settings.keep else {}\n", "        kept = {}\n",
        "tests/callbacks/test_pruning_schedules.py::test_what_is_kept_trains_on_while_the_rest_rewinds"),
)  # fmt: skip

_RESUMING = (
    fault("the environment decides which process writes", "lt_lightning/experiment/start_run.py",
        "if launcher is None or max(count, 1) * nodes == 1:", "if launcher is None:",
        "tests/test_processes.py::test_a_run_of_one_process_is_alone_whatever_the_environment_says"),
    fault("a checkpoint of round 0 lacks the weights to rewind to", "lt_lightning/runs/checkpoint_parts.py",
        '"lottery": lottery if rewinds else None', '"lottery": None',
        "trials.kills --kills 1 --only step"),
    fault("a round begins anew though a checkpoint is there", "lt_lightning/experiment/round.py",
        "ckpt_path=kept, weights_only=True", "ckpt_path=None, weights_only=True",
        "trials.kills --kills 1 --only none"),
    fault("two processes work on one run", "lt_lightning/storage/lock.py",
        "lock.acquire(timeout=0)", "pass",
        "tests/resume/test_resume_command.py::test_a_second_process_is_told_who_holds_the_directory"),
    fault("files are written in place", "lt_lightning/storage/atomic.py",
        "with open(temporary, \"wb\", opener=lambda *_: descriptor) as file:",
        "with open(temporary := path if name is None else temporary, \"wb\") as file:",
        "trials.kills --kills 1 --only init"),
)  # fmt: skip

_STARTING = (
    fault("two starts share a folder", "lt_lightning/experiment/folders.py",
        "    try:\n        folder.mkdir()\n", "    try:\n        folder.mkdir(exist_ok=True)\n",
        "tests/test_reserving.py::test_many_starts_at_once_get_a_folder_each"),
    fault("a failed start leaves its folder", "lt_lightning/experiment/folders.py",
        "if failed and one.ours:", "if False:",
        "tests/test_reserving.py::test_a_failed_start_leaves_neither_folder_nor_the_parents_it_made"),
    fault("a record may run code", "lt_lightning/experiment/resume/trust.py",
        "if not _is_plain(argument)]", "if not argument]",
        "tests/resume/test_trust.py::test_an_override_that_could_run_code_is_not_taken_from_a_record"),
    fault("a changed run.json is not named", "lt_lightning/runs/description.py",
        "return description[SEAL] == _seal(_without_seal(description))", "return True",
        "tests/results/test_description.py::test_every_flipped_bit_of_run_json_is_noticed"),
)  # fmt: skip

_TRIALS = (
    fault("the memory of a refused file is not checked", "trials/watching.py",
        "        if measured:\n", "        if measured and __import__(\"sys\").exc_info()[0] is None:\n",
        "tests/trials/test_fuzz.py::test_faults_are_reported_with_the_mutants_number"),
    fault("the fuzz lets damaged files be read", "trials/fuzz.py",
        "if not subject.may_read(damaged):", "if False:",
        "tests/trials/test_fuzz.py::test_a_damaged_ticket_that_is_read_is_a_failure"),
    fault("the kills compare nothing", "trials/kills.py",
        "if there.get(name) != expected.get(name)", "if False",
        "tests/trials/test_kills.py::test_each_difference_is_reported"),
    fault("the kills never kill", "trials/moments.py",
        "os.kill(self._process, signal.SIGKILL)", "pass",
        "tests/trials/test_kills.py::test_a_process_is_killed_at_its_moment"),
    fault("every fault counts as seen", "trials/planted.py",
        "return self.code == (_PASSED if self.fault is None else _FAILED)", "return True",
        "tests/trials/test_planted.py::test_a_fault_that_no_test_sees_is_reported"),
)  # fmt: skip

_CONNECTIVITY = (
    fault("instability is measured from the better end", "lt_lightning/lottery/connectivity.py",
        "return max(errors) - (errors[0] + errors[-1]) / 2", "return max(errors) - min(errors[0], errors[-1])",
        "tests/lottery/test_lottery_connectivity.py::"
        "test_the_instability_of_two_losses_is_that_of_the_closed_form"),
    fault("the average of equal weights is rounded", "lt_lightning/lottery/connectivity.py",
        "return torch.lerp(one.detach(), other.detach().to(one.dtype), alpha)",
        "return (1 - alpha) * one.detach() + alpha * other.detach()",
        "tests/lottery/test_lottery_connectivity.py::test_ends_equal_entries_and_zeros_are_exact"),
    fault("an average keeps the statistics of its copies", "lt_lightning/connect/points.py",
        "inside = norms if 0 < alpha < 1 else ()", "inside = ()",
        "tests/test_connect_own.py::test_statistics_are_renewed_between_the_ends_where_they_differ"),
    fault("batches do not follow seed.order", "lt_lightning/data/loaders.py",
        "shuffle = (self.order_seed, ", "shuffle = (0, ",
        "tests/test_seed_order.py::test_two_orders_give_other_batches_and_the_same_parts_and_first_weights"),
    fault("dropout does not follow seed.order", "lt_lightning/experiment/round.py",
        "EpochSeeds(config.order_seed, round)", "EpochSeeds(config.seed, round)",
        "tests/test_seed_order.py::test_dropout_follows_the_order_in_every_round"),
)  # fmt: skip

FAULTS = (
    *_LOTTERY, *_CALLBACK, *_TRAINING, *_RESULTS, *_FILES, *_SCHEDULES, *_RESUMING, *_STARTING, *_CONNECTIVITY,
    *_TRIALS,
)  # fmt: skip
"""All faults."""
