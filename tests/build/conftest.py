"""The same endpoint and environment as for the tests of ``cloud``."""

from tests.cloud.conftest import _endpoint, _home, cloud, environment, server

__all__ = ["_endpoint", "_home", "cloud", "environment", "server"]
