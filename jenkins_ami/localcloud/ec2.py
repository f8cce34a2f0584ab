"""The local cloud's EC2 API: moto's, with our own actions where moto is not EC2. What is not in them is moto's."""

from __future__ import annotations

from .image_actions import ImageActions
from .image_settings import ImageSettings
from .instance_actions import InstanceActions
from .instances import Fleet
from .templates import TemplateActions


class Responses(InstanceActions, ImageActions, ImageSettings, TemplateActions):
    """All actions."""


def bound_to(fleet: Fleet, responses: type[Responses] = Responses) -> type[Responses]:
    """The dispatcher for one server, with actions of its own or those of a subclass."""
    return type("LocalEC2", (responses,), {"fleet": fleet, "answers": {}, "pending": {}})
