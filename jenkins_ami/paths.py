"""Where things are kept between runs: caches (may be deleted) and state (the local cloud's images: may not).

Follows the XDG base directory specification, with an environment variable of our own before it.
"""

from __future__ import annotations

import os
from pathlib import Path


def _dir(own: str, xdg: str, fallback: str) -> Path:
    if value := os.environ.get(own):
        return Path(value).absolute()
    if (value := os.environ.get(xdg)) and Path(value).is_absolute():
        return Path(value) / "jenkins-ami"
    return Path.home() / fallback / "jenkins-ami"


def cache_dir() -> Path:
    """``$JENKINS_AMI_CACHE``, else ``$XDG_CACHE_HOME/jenkins-ami``, else ``~/.cache/jenkins-ami``. Not created."""
    return _dir("JENKINS_AMI_CACHE", "XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """``$JENKINS_AMI_STATE``, else ``$XDG_STATE_HOME/jenkins-ami``, else ``~/.local/state/jenkins-ami``."""
    return _dir("JENKINS_AMI_STATE", "XDG_STATE_HOME", ".local/state")
