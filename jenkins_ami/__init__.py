"""jenkins-ami: Amazon Machine Images from Git through Jenkins, with nothing listening.

Nothing is imported here, so that every command pays only for what it uses.
"""

__version__ = "0.1.0"
