"""What a job does around papermill: one sentence per failure."""

from papermill.exceptions import PapermillExecutionError

from workflow.execute import sentence


def test_an_error_becomes_one_line_without_colours():
    error = PapermillExecutionError(1, 1, "", "ValueError", "\x1b[31mtwo\n lines\x1b[0m", ["..."])
    assert sentence(error) == "ValueError: two lines"
