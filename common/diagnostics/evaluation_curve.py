"""The test loss along a run, for what a source reports of it."""

from __future__ import annotations

from common.diagnostics.diagnostic import Diagnostic, Measured
from common.training.epoch import Evaluation
from common.training.history import Moment


class TestCurve(Diagnostic):
    """The test loss along the run, as `curve_test_loss`, and the metric as `curve_test_metric`.

    It is there because a source reports a point of this curve, or where it crosses a value. It selects nothing here:
    what is chosen is chosen on validation data, and the test loss of that epoch is then read off this curve.
    """

    __test__ = False  # no test case, whatever pytest makes of the name

    def __init__(self):
        pass

    def measure(self, moment: Moment) -> Measured:
        """Return `curve_test_loss`, in the units of the task's loss, and `curve_test_metric`, in the metric's."""
        test = moment.dataset.test
        loss, metric = self._once([moment.task, test], lambda: Evaluation(moment.task, test))()
        return {"curve_test_loss": loss, "curve_test_metric": metric}
