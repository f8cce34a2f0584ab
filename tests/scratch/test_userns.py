from __future__ import annotations

import pytest

from jenkins_ami.scratch.userns import FakeRoot, prefix, range_start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("other:1:65536\nme:100000:65536\n", 100000),
        ("1000:300000:65535", 300000),
        ("me:1:100\nme:200000:65536", 200000),
        ("me:100000:65534", None),
        ("men:100000:65536", None),
        ("me\nme:\nme:x:y\n:::\n", None),
        ("", None),
    ],
)
def test_the_first_large_enough_range_of_the_user_counts(text: str, start: int | None) -> None:
    assert range_start(text, {"me", "1000"}) == start


def test_the_caller_is_root_inside_and_the_range_is_everybody_else() -> None:
    words = FakeRoot(prefix(100000, 200000)).argv("id", "-u")
    assert words[:2] == ["unshare", "--user"]
    assert {"--map-root-user", "--map-users=100000,1,65535", "--map-groups=200000,1,65535"} <= set(words)
    assert words[-3:] == ["--", "id", "-u"]


def test_the_real_root_runs_commands_as_they_are() -> None:
    assert FakeRoot().argv("id", "-u") == ["id", "-u"]
