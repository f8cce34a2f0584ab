"""Launch templates, wherever moto is not EC2."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import parse_user_data

from .request import Request


class TemplateActions(Request):
    """Each public method is one action, by its name in snake case."""

    def create_launch_template_version(self) -> ActionResult:
        return self._once(self._create_launch_template_version)

    def _create_launch_template_version(self) -> ActionResult:
        """A new version has what its source has, but for what is given (API reference, CreateLaunchTemplateVersion)."""
        params, backend = self.params, self.ec2_backend
        if ("LaunchTemplateId" in params) == ("LaunchTemplateName" in params):
            raise EC2ClientError("MissingParameter", "Name a launch template by its id or by its name.")
        template: Any = (
            backend.get_launch_template(params["LaunchTemplateId"])
            if "LaunchTemplateId" in params
            else backend.get_launch_template_by_name(params["LaunchTemplateName"])
        )
        data: dict[str, Any] = params.setdefault("LaunchTemplateData", {})
        if "UserData" in data:
            data["UserData"] = parse_user_data(data["UserData"])
        if "SourceVersion" in params:
            params["LaunchTemplateData"] = template.get_version(params["SourceVersion"]).data | data
        return super().create_launch_template_version()
