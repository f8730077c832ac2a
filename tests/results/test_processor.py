import re

import pytest

from common.results import run_provenance
from common.results.processor import instructions, processor

AMD = "processor\t: 0\nmodel name\t: AMD EPYC,  7B13\nflags\t\t: fpu avx avx2\n\nprocessor\t: 1\nflags\t\t: avx512f\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\n\n"


@pytest.mark.parametrize(
    ("text", "sets", "name"),
    [
        (AMD, {"fpu", "avx", "avx2"}, "AMD EPYC 7B13 with AVX2"),
        (AMD.replace("fpu", "avx512f"), {"avx512f", "avx", "avx2"}, "AMD EPYC 7B13 with AVX-512"),
        (ARM, {"fp", "asimd"}, r".+ with NEON"),
    ],
)
def test_model_and_widest_instructions_of_the_first_processor(tmp_path, text, sets, name):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert instructions(file) == sets
    assert re.fullmatch(name, processor(file))


def test_without_the_file_the_name_is_what_python_knows(tmp_path):
    assert instructions(tmp_path / "none") == frozenset()
    assert processor(tmp_path / "none")


def test_the_record_of_a_run_names_the_processor():
    provenance = run_provenance("CPU, 2 threads")
    assert (provenance["device"], provenance["threads"]) == (f"CPU, {processor()}", 2)
    assert run_provenance("GPU, NVIDIA A100")["device"] == "GPU, NVIDIA A100"
