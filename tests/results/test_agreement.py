import numpy as np
import pandas as pd
import pytest
from result_runs import diverged, records, run

from common.results.agreement import AS_PRINTED, DIFFERENT, IDENTICAL, agreement


def test_the_same_numbers_are_identical_whatever_their_seconds():
    again = run().assign(seconds=99.0, cost=0.0)
    compared = agreement(run(), again)
    assert (compared.verdict, compared.reason) == (IDENTICAL, "")
    assert compared.numbers == 3 * 4 + 2
    assert compared.largest == {"train_loss": (0, 1), "validation_metric": (0, 1), "test_metric": (0, 1)}


def test_the_last_bit_of_one_loss_is_a_difference():
    stored, again = run(), run()
    again.loc[1, "train_loss"] = np.nextafter(again.loc[1, "train_loss"], 2)
    compared = agreement(stored, again)
    assert compared.verdict == AS_PRINTED
    difference, epoch = compared.largest["train_loss"]
    assert 0 < difference < 1e-15
    assert epoch == 2


@pytest.mark.parametrize(
    ("metric", "change", "verdict"),
    [
        ("accuracy", 4e-5, AS_PRINTED),  # 90.00 and 90.004 per cent
        ("accuracy", 6e-5, DIFFERENT),
        ("mean_squared_error", 4e-3, AS_PRINTED),
        ("mean_squared_error", 6e-3, DIFFERENT),
    ],
)
def test_what_tables_print_decides_of_the_last_metrics(metric, change, verdict):
    stored = run().assign(metric=metric)
    again = stored.assign(test_metric=stored["test_metric"] + change)
    assert agreement(stored, again).verdict == verdict


def test_another_curve_to_the_same_end_is_equal_as_printed():
    stored, again = run(), run()
    again.loc[0, ["train_loss", "validation_metric"]] = 7.0
    compared = agreement(stored, again)
    assert compared.verdict == AS_PRINTED
    assert compared.largest["validation_metric"] == (pytest.approx(6.4), 1)


def test_only_epochs_that_the_stored_run_recorded_are_compared():
    again = run()
    stored = again.iloc[[0, 2]].reset_index(drop=True)
    assert agreement(stored, again).verdict == IDENTICAL
    compared = agreement(again, stored)
    assert (compared.verdict, compared.reason) == (DIFFERENT, "epoch 2 is not there again")


def test_a_look_before_the_first_epoch_is_no_part_of_the_curve():
    first = run().iloc[[0]].assign(epoch=0, step=0, train_loss=np.nan)
    stored = pd.concat([first, run()], ignore_index=True)
    assert agreement(stored, run()).verdict == IDENTICAL


def test_what_was_not_kept_is_not_compared():
    stored = run().assign(train_loss=np.nan, test_metric=np.nan)
    compared = agreement(stored, run())
    assert compared.verdict == IDENTICAL
    assert set(compared.largest) == {"validation_metric"}
    nothing = run().assign(**dict.fromkeys(("train_loss", "train_metric", "validation_loss", "validation_metric",
                                            "test_loss", "test_metric"), np.nan))  # fmt: skip
    assert agreement(nothing, run()).verdict == DIFFERENT


def test_how_a_run_ended_counts():
    assert agreement(diverged(), diverged()).verdict == IDENTICAL
    compared = agreement(run(), diverged())
    assert compared.verdict == DIFFERENT
    assert compared.reason == "it finished after epoch 3 and step 30, and again diverged at step 27"
    assert compared.largest["train_loss"] == (np.inf, 3)
    longer = agreement(run(), run(epochs=records(4)))
    assert longer.reason == "it finished after epoch 3 and step 30, and again finished after epoch 4 and step 40"
    later = run(status="diverged", diverged_step=28, epochs=records())
    assert agreement(diverged(), later).reason == "it diverged at step 27, and again diverged at step 28"
