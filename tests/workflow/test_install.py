"""The installation goes into .venv, whatever a user's settings for pip and Python say."""

import subprocess

from workflow import install


def test_settings_that_lead_elsewhere_do_not_reach_pip(monkeypatch):
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")
    for name in (*elsewhere, "PIP_USER", "PIP_DRY_RUN", "PIP_REQUIRE_HASHES", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "1")
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda call, **options: calls.append((call, options)))
    install.pip("install", "something")
    ((call, options),) = calls
    assert call == [str(install.PYTHON), "-m", "pip", "install", "something"]
    assert not set(elsewhere) & set(options["env"])
    assert [options["env"][f"PIP_{name}"] for name in ("USER", "DRY_RUN", "REQUIRE_HASHES")] == ["0"] * 3
    assert options["env"]["PIP_INDEX_URL"] == "1"  # which index there is, is the user's to say
