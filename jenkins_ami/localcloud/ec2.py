"""The local cloud's EC2 API: moto's, with our own actions where moto is not EC2. What is not in them is moto's."""

from __future__ import annotations

from .image_actions import ImageActions
from .instance_actions import InstanceActions
from .instances import Fleet


class Responses(InstanceActions, ImageActions):
    """All actions."""


def bound_to(fleet: Fleet) -> type[Responses]:
    """The dispatcher for one server."""
    return type("LocalEC2", (Responses,), {"fleet": fleet, "answers": {}, "pending": {}})
