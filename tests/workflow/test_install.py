"""The installation goes into .venv, whatever a user's settings for pip and Python say."""

import subprocess

from workflow import install


def test_settings_that_lead_elsewhere_do_not_reach_pip(monkeypatch):
    elsewhere = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    for name in (*elsewhere, "PIP_USER", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "1")
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda call, **options: calls.append((call, options)))
    install.pip("install", "something")
    ((call, options),) = calls
    assert call == [str(install.PYTHON), "-m", "pip", "install", "something"]
    assert not set(elsewhere) & set(options["env"])
    assert options["env"]["PIP_USER"] == "0"
    assert options["env"]["PIP_INDEX_URL"] == "1"  # which index there is, is the user's to say
