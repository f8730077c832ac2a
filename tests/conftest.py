"""Which tests are left to `make thorough`: the marker `slow`, set here for modules and folders."""

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


def pytest_configure():
    """Refuse a name in `SLOW` that is no file any more: its tests would be quick ones unseen."""
    if lost := sorted(name for name in SLOW if not (TESTS / name).exists()):
        raise pytest.UsageError(f"tests/conftest.py names as slow what does not exist: {', '.join(lost)}")


def pytest_collection_modifyitems(items):
    """Mark what `SLOW` names."""
    for item in items:
        if item.path.is_relative_to(TESTS):
            path = item.path.relative_to(TESTS)
            if not SLOW.isdisjoint(map(str, (path, *path.parents))):
                item.add_marker(pytest.mark.slow)
