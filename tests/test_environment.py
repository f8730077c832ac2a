"""pyproject.toml, the lock and environment.yml say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
# One entry per requirement; its hashes follow on continued lines.
LOCKED = [entry.split() for entry in LOCK.replace("\\\n", " ").splitlines() if entry.strip()]
DECLARED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]


def requirement(entry):
    """Parse a lock entry without its hashes."""
    return Requirement(" ".join(word for word in entry if not word.startswith("--hash")))


def pinned(name, python):
    """Return the versions that the lock pins for a package on Linux with some Python."""
    system = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    candidates = [wanted for wanted in map(requirement, LOCKED) if canonicalize_name(wanted.name) == name]
    return [
        Version(next(iter(wanted.specifier)).version)
        for wanted in candidates
        if wanted.marker is None or wanted.marker.evaluate({**system, "os_name": "posix", "platform_system": "Linux"})
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("declared", [Requirement(line) for line in DECLARED], ids=lambda wanted: wanted.name)
def test_the_lock_pins_one_fitting_version_of_what_is_declared(declared, python):
    versions = pinned(canonicalize_name(declared.name), python)
    assert len(versions) == 1, f"{declared.name} is pinned {len(versions)} times for Python {python}; run `make lock`"
    assert versions[0] in declared.specifier, (
        f"{declared.name} {versions[0]}, not {declared.specifier}; run `make lock`"
    )


def test_the_lock_can_build_the_project_without_another_download():
    for build in map(
        Requirement, PROJECT_BUILD := tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    ):
        assert pinned(build.name, "3.13")[0] in build.specifier
    assert PROJECT_BUILD


def test_every_locked_package_is_exact_and_has_hashes():
    for entry in LOCKED:
        wanted = requirement(entry)
        assert [part.operator for part in wanted.specifier] == ["=="], wanted
        hashes = [word for word in entry if word.startswith("--hash")]
        assert hashes, f"{wanted.name} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", part) for part in hashes), wanted


def test_the_lock_names_no_index_and_no_file():
    assert not re.search(r"://|^\s*-(?!-hash)|@ ", LOCK, flags=re.MULTILINE)


def test_conda_gets_the_same_pythons_and_the_same_lock():
    python, pip, packages = ENVIRONMENT["dependencies"]
    assert SpecifierSet(python.removeprefix("python").strip()) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert packages == {"pip": ["-r requirements.txt"]}
    assert all(Version(version) in SpecifierSet(PROJECT["requires-python"]) for version in PYTHONS)


def test_the_citation_has_the_projects_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
