"""``python -m jenkins_ami``."""

from .cli import entry

entry()
