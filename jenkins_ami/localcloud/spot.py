"""Spot instances: launched at once, never reclaimed, and with the request that EC2 keeps for each of them.

A persistent request outlives its instance: on EC2 it launches another one until it is cancelled. Here it only stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import random_spot_request_id

from .request import Request


def spot_options(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """RunInstances' options for spot; ``None`` when it is not for spot.

    :raises EC2ClientError: as EC2 refuses what does not fit together (API reference, SpotMarketOptions)
    """
    asked = params.get("InstanceMarketOptions")
    if asked is None:
        return None
    if asked.get("MarketType") != "spot":
        raise EC2ClientError("UnsupportedOperation", f"There is no market of type {asked.get('MarketType')} here.")
    options: dict[str, Any] = asked.get("SpotOptions", {})
    kind, behavior = (
        options.get("SpotInstanceType", "one-time"),
        options.get("InstanceInterruptionBehavior", "terminate"),
    )
    if kind not in ("one-time", "persistent"):
        raise EC2ClientError("InvalidParameterValue", f"Value ({kind}) for parameter spotInstanceType is invalid.")
    if kind == "one-time" and behavior != "terminate":
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"The request with type 'one-time' is not supported when instanceInterruptionBehavior is set to "
            f"'{behavior}'.",
        )
    return {"type": kind, "behavior": behavior, "price": options.get("MaxPrice", "0.010000")}


class SpotRequest(TaggedEC2Resource):  # type: ignore[misc]
    """One request, as moto's DescribeSpotInstanceRequests reads it."""

    def __init__(self, backend: Any, instance: Any, options: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.ec2_backend = backend
        self.id: str = random_spot_request_id()
        self.spot_instance_request_id = self.id
        self.type: str = options["type"]
        self.instance_interruption_behavior: str = options["behavior"]
        self.spot_price: str = options["price"]
        self.product_description = "Linux/UNIX"
        self.create_time = datetime.now(UTC)
        self.cancelled = False
        self._instance = instance
        self.add_tags(dict(tags))

    @property
    def instance_id(self) -> str:
        return str(self._instance.id)

    @property
    def state(self) -> str:
        ended = self._instance._state.name in ("shutting-down", "terminated")
        if self.cancelled:
            return "cancelled"
        if not ended:
            return "disabled" if self._instance._state.name in ("stopping", "stopped") else "active"
        return "open" if self.type == "persistent" else "closed"

    @property
    def status(self) -> dict[str, Any]:
        code = {
            "active": "fulfilled",
            "open": "pending-evaluation",
            "cancelled": "request-canceled-and-instance-running",
        }
        return {"Code": code.get(self.state, "instance-stopped-by-user"), "UpdateTime": self.create_time}

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        own = {
            "state": self.state,
            "spot-instance-request-id": self.id,
            "instance-id": self.instance_id,
            "type": self.type,
        }
        return own.get(filter_name) or super().get_filter_value(filter_name, method_name)


class SpotActions(Request):
    """Each public method is one action, by its name in snake case."""

    def _keep_spot_request(self, instance: Any, options: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        backend = self.ec2_backend
        request = SpotRequest(backend, instance, options, tags)
        backend.spot_instance_requests[request.id] = request
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = request.id

    def cancel_spot_instance_requests(self) -> ActionResult:
        known = self.ec2_backend.spot_instance_requests
        asked = self.params.get("SpotInstanceRequestIds", [])
        if wrong := [each for each in asked if each not in known]:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{wrong[0]}' does not exist"
            )
        self.error_on_dryrun()
        for each in asked:
            known[each].cancelled = True
        states = [{"SpotInstanceRequestId": each, "State": "cancelled"} for each in asked]
        return ActionResult({"CancelledSpotInstanceRequests": states})

    def describe_spot_instance_requests(self) -> ActionResult:
        asked = self.params.get("SpotInstanceRequestIds", [])
        if wrong := [each for each in asked if each not in self.ec2_backend.spot_instance_requests]:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{wrong[0]}' does not exist"
            )
        return super().describe_spot_instance_requests()
