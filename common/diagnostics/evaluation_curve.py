"""The test loss during a run, for comparison with a source that reports it."""

from __future__ import annotations

from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.epoch import Evaluation
from common.training.history import Moment


class TestCurve(Diagnostic):
    """The test loss during the run, as `curve_test_loss`, and the metric as `curve_test_metric`.

    It exists because a source reports a point of this curve, or the point at which it crosses a value. It selects
    nothing here: all choices use validation data, and the test loss of the chosen epoch is then read from this curve.
    """

    __test__ = False  # not a test case, although pytest would infer one from the name

    def __init__(self):
        pass

    def measure(self, moment: Moment) -> Measured:
        """Return `curve_test_loss`, in the unit of the task's loss, and `curve_test_metric`, in that of the metric."""
        test = moment.dataset.test
        loss, metric = self._once([moment.task, test], lambda: Evaluation(moment.task, test))()
        return {"curve_test_loss": loss, "curve_test_metric": metric}
