"""Which tests `make check` leaves out, the marker `slow`, and which of these `make test` runs: not the `thorough`."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# They train, compile many functions or start processes. Every folder of common/ keeps quick tests.
SLOW = frozenset(
    {
        "notebooks",
        "curvature/test_batch_norm.py",
        "curvature/test_gauss_newton.py",
        "diagnostics/test_boundary_alignment.py",
        "diagnostics/test_logit_alignment.py",
        "diagnostics/test_synthetic_pictures.py",
        "diagnostics/test_unchanged_runs.py",
        "estimators/test_activity_forward_gradient.py",
        "estimators/test_compressed_gradients.py",
        "estimators/test_contract.py",
        "estimators/test_direct_feedback_alignment.py",
        "estimators/test_dp_gradient.py",
        "estimators/test_estimators.py",
        "estimators/test_feedback_alignment.py",
        "estimators/test_forward_gradient.py",
        "estimators/test_importance_sampling.py",
        "estimators/test_layerwise_evolution.py",
        "estimators/test_local_losses.py",
        "estimators/test_logit_evolution.py",
        "estimators/test_newton_cg.py",
        "estimators/test_noisy_gradient.py",
        "estimators/test_one_trace.py",
        "estimators/test_over_the_air.py",
        "estimators/test_parameter_evolution.py",
        "estimators/test_public_subspace.py",
        "estimators/test_saddle_free_newton.py",
        "estimators/test_synthetic_gradients.py",
        "estimators/test_weight_regression.py",
        "experiments/test_comparison.py",
        "experiments/test_reproduction.py",
        "experiments/test_tuning.py",
        "experiments/test_user_environment.py",
        "optimizers/test_optimizers.py",
        "optimizers/test_shampoo_soap.py",
        "paper_results/test_optimizers_results.py",
        "plotting/test_baseline_sgd.py",
        "plotting/test_committed_figures.py",
        "plotting/test_evolution_on_weights.py",
        "plotting/test_evolution_strategies.py",
        "plotting/test_latex_documents.py",
        "plotting/test_low_rank_hessian_figures.py",
        "plotting/test_noisy_gradients.py",
        "plotting/test_optimizer_figures.py",
        "plotting/test_sweep_browser.py",
        "plotting/test_sweep_figures.py",
        "plotting/test_synthetic_gradients_figures.py",
        "tasks/test_layers.py",
        "test_benchmarks.py",
        "test_kills.py",
        "test_site.py",
        "training/test_callbacks.py",
        "training/test_damaged_checkpoints.py",
        "training/test_interrupts.py",
        "training/test_keras_fit.py",
        "training/test_loop.py",
        "training/test_steps.py",
        "training/test_tensorboard.py",
        "training/test_trainer.py",
        "workflow/test_driver.py",
        "workflow/test_reproduce.py",
        "workflow/test_run_sweep.py",
        "workflow/test_sweep_of_digits.py",
        "workflow/test_users_environment.py",
    }
)


# Of the slow ones `make test` runs a case of each test, but not these, of more than some ten seconds each.
THOROUGH = frozenset(
    {
        "test_kills.py",
        "estimators/test_compressed_gradients.py::test_the_mean_of_many_quantized_gradients_is_the_gradient",
        "estimators/test_noisy_gradient.py::test_xla_trains",
        "estimators/test_public_subspace.py::test_xla_trains_with_noise",
        "estimators/test_synthetic_gradients.py::test_a_resumed_run_with_predictors_of_maps_is_bit_identical",
        "experiments/test_comparison.py::test_zeroth_order_is_tuned_on_each_network",
        "experiments/test_user_environment.py::test_a_run_comes_out_the_same_under_everybodys_settings",
        "notebooks/test_jupyterlab.py::test_a_parameters_cell_that_ends_in_an_error_stops_run_all",
        "notebooks/test_jupyterlab.py::test_a_wrong_parameter_stops_run_all",
        "notebooks/test_notebooks.py::test_a_diverged_run_is_a_result",
        "notebooks/test_notebooks.py::test_papermill_may_inject_paths_and_seeds_may_be_a_range",
        "notebooks/test_notebooks.py::test_runs_and_writes_its_results",
        "notebooks/test_scripts.py::test_a_script_runs_and_writes_its_results",
        "plotting/test_comparison_figures.py::test_each_variant_is_drawn_by_itself_and_what_compares_them_together",
        "plotting/test_low_rank_hessian_figures.py::test_drawing_needs_neither_tensorflow_nor_pyplot",
        "plotting/test_noisy_gradients.py::test_drawing_needs_neither_tensorflow_nor_pyplot",
        "plotting/test_synthetic_gradients_figures.py::test_stored_results_are_redrawn_as_files",
        "tasks/test_data_format.py::test_networks_run_where_the_users_file_says_channels_first",
        "test_benchmarks.py::test_every_source_trains_an_epoch",
        "test_benchmarks.py::test_one_trace_and_a_trace_each_end_with_the_same_weights",
        "test_site.py::test_pages_are_complete_and_need_no_network",
        "training/test_damaged_checkpoints.py::test_whatever_is_altered_the_run_is_the_same_or_a_sentence_is_said",
        "training/test_interrupts.py::test_one_call_of_any_length_stops",
        "training/test_interrupts.py::test_where_calls_end_changes_no_bit_with_xla",
        "training/test_loop.py::test_a_run_killed_within_an_epoch_ends_as_if_it_had_not_been",
        "training/test_loop.py::test_many_epochs_in_one_call_with_xla",
        "training/test_loop.py::test_xla_computes_the_same",
        "training/test_loop.py::test_xla_trains_with_dropout",
        "workflow/test_driver.py::test_a_failure_stops_no_other_notebook_and_is_told",
        "workflow/test_driver.py::test_a_stored_result_outlives_a_rerun_that_does_not_end",
        "workflow/test_driver.py::test_paper_runs_seeds_apart_and_only_for_a_reason",
        "workflow/test_driver.py::test_quick_runs_what_changed_and_nothing_else",
        "workflow/test_driver.py::test_two_runs_at_once_take_turns",
        "workflow/test_driver.py::test_variants_run_apart_and_are_drawn_apart",
        "workflow/test_reproduce.py::test_a_child_says_why_it_failed",
        "workflow/test_reproduce.py::test_another_result_is_told_and_ends_with_code_1",
        "workflow/test_reproduce.py::test_runs_come_out_identical_with_the_threads_of_then",
        "workflow/test_run_sweep.py::test_a_batch_goes_on_after_its_worker_was_killed",
        "workflow/test_run_sweep.py::test_a_disk_that_fills_up_is_told_and_loses_nothing_that_was_stored",
        "workflow/test_run_sweep.py::test_a_dry_run_lists_jobs_and_expected_time_and_writes_nothing",
        "workflow/test_run_sweep.py::test_a_job_runs_the_code_as_it_is_when_the_job_starts",
        "workflow/test_run_sweep.py::test_a_job_that_kills_its_worker_is_told_and_loses_no_other",
        "workflow/test_run_sweep.py::test_a_stored_result_is_made_again_when_the_notebooks_default_changed_and_relabelled_when_a_name_did",
        "workflow/test_run_sweep.py::test_a_sweep_runs_what_is_missing_and_nothing_else",
        "workflow/test_run_sweep.py::test_a_sweep_that_is_stopped_ends_all_it_started_and_says_how_to_go_on",
        "workflow/test_run_sweep.py::test_no_result_is_lost_or_doubled_by_kills_at_random_moments",
        "workflow/test_run_sweep.py::test_one_kernel_runs_many_jobs_each_as_if_it_were_the_first",
        "workflow/test_run_sweep.py::test_two_runs_of_one_sweep_take_turns",
        "workflow/test_run_sweep.py::test_two_sweeps_and_a_preset_run_at_once",
        "workflow/test_users_environment.py::test_a_job_ends_well_under_awkward_settings",
        "workflow/test_users_environment.py::test_a_job_ends_well_where_warnings_are_errors_and_figures_have_no_backend",
    }
)


def pytest_configure():
    """Refuse a name in `SLOW` or `THOROUGH` that is no file any more: its tests would run elsewhere unseen."""
    files = {name.partition("::")[0] for name in SLOW | THOROUGH}
    if lost := sorted(name for name in files if not (TESTS / name).exists()):
        raise pytest.UsageError(f"tests/conftest.py names as slow what does not exist: {', '.join(lost)}")


def pytest_collection_modifyitems(items):
    """Mark what `SLOW` names and, as `thorough`, all but the first case of each slow test and what `THOROUGH` names."""
    seen = set()
    for item in items:
        names = _names(item)
        if not SLOW.isdisjoint(names):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and (not THOROUGH.isdisjoint(names) or not seen.isdisjoint(names[:1])):
            item.add_marker(pytest.mark.thorough)
        seen.update(names[:1])


def _names(item):
    """Return the names by which the lists above could mean a test: its own, its file's and its folders'."""
    if not item.path.is_relative_to(TESTS):
        return []
    path = item.path.relative_to(TESTS)
    own = [part.name.partition("[")[0] for part in item.listchain() if isinstance(part, pytest.Class | pytest.Function)]
    return ["::".join([str(path), *own]), *map(str, (path, *path.parents))]
