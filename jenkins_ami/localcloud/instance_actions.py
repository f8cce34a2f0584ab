"""The actions of the EC2 API on instances, wherever moto is not EC2: behind an instance there is a machine here."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import filter_iam_instance_profiles
from moto.iam.exceptions import NotFoundException

from ..artifacts import USERDATA_LIMIT
from ..errors import AmiError
from .encryption import usable
from .hardware import Size, size_of
from .instances import CODES, Guest
from .records import ImageRecord
from .spot import SpotActions, spot_options

NO_KEY = ("Client.InternalError", "Client.InternalError: Client error on launch")
"""StateReason of an instance whose volume's key cannot be used."""
INSTANCE_LIMIT = 20
"""Instances that one RunInstances may ask for."""

_AMI_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")


class InstanceActions(SpotActions):
    """Each public method is one action, by its name in snake case."""

    def run_instances(self) -> ActionResult:
        return self._once(self._run_instances)

    def _run_instances(self) -> ActionResult:
        params = self.params
        if "LaunchTemplate" in params:
            raise EC2ClientError("UnsupportedOperation", "Launch templates are not supported here.")
        image = self._usable_image(params.get("ImageId", ""))
        size = self._size(params.setdefault("InstanceType", "m1.small"), image)
        params["BlockDeviceMappings"] = [self._root_mapping(image, params.get("BlockDeviceMappings", []))]
        key_id = params["BlockDeviceMappings"][0]["Ebs"].get("KmsKeyId")
        self._check_user_data(params.get("UserData"))
        public = self._interface(params)
        spot = spot_options(params)
        metadata = params.setdefault("MetadataOptions", {})
        if image.imds_support == "v2.0":  # EC2 User Guide, "Configure the AMI"
            metadata.setdefault("HttpTokens", "required")
            metadata.setdefault("HttpPutResponseHopLimit", 2)
        key = params.get("KeyName")
        if key and key not in self.ec2_backend.key_pairs:
            raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
        profile = self._profile(params.get("IamInstanceProfile", {}))
        if params.get("InstanceInitiatedShutdownBehavior", "stop") not in ("stop", "terminate"):
            raise EC2ClientError("InvalidParameterValue", "InstanceInitiatedShutdownBehavior is stop or terminate.")
        least, most = int(params.get("MinCount", 1)), int(params.get("MaxCount", 1))
        if not 1 <= least <= most:
            raise EC2ClientError("InvalidParameterValue", f"MinCount {least} and MaxCount {most} do not fit.")
        if least > INSTANCE_LIMIT:
            raise EC2ClientError("InstanceLimitExceeded", f"You can run {INSTANCE_LIMIT} instances at once here.")
        params["MinCount"] = min(most, INSTANCE_LIMIT)
        tags = self._tags("instance", "volume", "network-interface", "spot-instances-request")
        if params.get("ClientToken") is None:
            params["ClientToken"] = ""  # moto would put one of its own
        self.fleet.store.require_space()
        answer = super().run_instances()
        reservation: Any = answer.result
        for instance in reservation.instances[1:] if profile else ():  # moto gives it to the first alone
            self.ec2_backend.associate_iam_instance_profile(instance.id, iam_instance_profile_name=profile)
        unusable = bool(key_id) and not usable(self.ec2_backend, key_id)
        try:
            for index, instance in enumerate(reservation.instances):
                guest = self.fleet.guest(instance, image, size, reservation.id)
                if public:
                    instance.nics[0].public_ip = f"203.0.113.{index % 254 + 1}"
                if spot:
                    guest.one_time = spot["type"] == "one-time"
                    self._keep_spot_request(instance, spot, tags["spot-instances-request"])
                if unusable:
                    guest.come_to("terminated", NO_KEY)
                else:
                    guest.launch()
        except AmiError as error:
            for instance in reservation.instances:
                started = self.fleet.guests.get(instance.id)
                if started is None:
                    instance.terminate()
                elif started.state != "terminated":
                    started.terminate()
            raise EC2ClientError("InsufficientInstanceCapacity", error.line()) from error
        return answer

    @staticmethod
    def _interface(params: dict[str, Any]) -> bool:
        """Check the one network interface that may be asked for; whether it is to have a public address."""
        interfaces = params.get("NetworkInterfaces", [])
        if not interfaces:
            return False
        if len(interfaces) > 1 or "NetworkInterfaceId" in interfaces[0]:
            raise EC2ClientError("UnsupportedOperation", "Instances have one network interface here, and a new one.")
        for name in ("SubnetId", "SecurityGroupIds", "SecurityGroups"):
            if params.get(name):
                what = "subnet ID" if name == "SubnetId" else "security groups"
                raise EC2ClientError(
                    "InvalidParameterCombination",
                    f"Network interfaces and an instance-level {what} may not be specified on the same request",
                )
        interfaces[0].setdefault("DeleteOnTermination", True)
        interfaces[0].setdefault("DeviceIndex", 0)
        return bool(interfaces[0].get("AssociatePublicIpAddress"))

    def _profile(self, asked: dict[str, str]) -> str | None:
        """The name of the instance profile that is asked for by name, ARN or both."""
        if not asked:
            return None
        try:
            found: Any = filter_iam_instance_profiles(
                self.current_account, self.partition, asked.get("Arn"), asked.get("Name")
            )
        except NotFoundException:
            found = None
        if found is None:
            value = asked.get("Arn") or asked.get("Name")
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({value}) for parameter iamInstanceProfile is invalid. Invalid IAM Instance Profile",
            )
        return str(found.name)

    def _usable_image(self, image_id: str) -> ImageRecord:
        if not _AMI_ID.fullmatch(image_id):
            raise EC2ClientError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
        image = self.ec2_backend.amis.get(image_id)
        if image is None:
            raise EC2ClientError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        if image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is {image.state}")
        record: ImageRecord = image.record
        if (record.architecture, record.virtualization_type) != ("x86_64", "hvm"):
            raise EC2ClientError(
                "Unsupported",
                f"Here is no machine for {record.architecture} and {record.virtualization_type}: x86_64 and hvm only.",
            )
        return record

    def _size(self, name: str, image: ImageRecord) -> Size:
        known = INSTANCE_TYPES.get(name)
        if known is None:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
        supported = known["ProcessorInfo"]["SupportedArchitectures"]
        if image.architecture not in supported:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"The architecture '{','.join(supported)}' of the specified instance type does not match the "
                f"architecture '{image.architecture}' of the specified AMI.",
            )
        return size_of(known)

    @staticmethod
    def _check_user_data(encoded: str | None) -> None:
        try:
            raw = base64.b64decode(encoded or "", validate=True)
        except binascii.Error as error:
            raise EC2ClientError("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from error
        if len(raw) > USERDATA_LIMIT:
            raise EC2ClientError("InvalidParameterValue", f"User data is limited to {USERDATA_LIMIT} bytes")

    def _guests(self, *states: str) -> list[Guest]:
        """The guests that InstanceIds names, all of them in one of ``states``."""
        instances = self.ec2_backend.get_multi_instances_by_id(self.params.get("InstanceIds", []))
        if not instances:
            raise EC2ClientError("MissingParameter", "The request must contain the parameter InstanceId")
        guests = [self._guest(instance.id) for instance in instances]
        for guest in guests:
            if guest.state not in states:
                raise EC2ClientError(
                    "IncorrectInstanceState",
                    f"The instance '{guest.instance.id}' is not in a state from which it can do that: {guest.state}.",
                )
        self.error_on_dryrun()
        return guests

    @staticmethod
    def _changes(key: str, guests: list[Guest], states: set[str], change: Callable[[Guest], None]) -> ActionResult:
        """Apply ``change`` to those in one of ``states`` and answer with the states before and after."""
        changes = []
        for guest in guests:
            before = guest.state
            if before in states:
                change(guest)
            changes.append(
                {
                    "InstanceId": guest.instance.id,
                    "PreviousState": {"Name": before, "Code": CODES[before]},
                    "CurrentState": {"Name": guest.state, "Code": CODES[guest.state]},
                }
            )
        return ActionResult({key: changes})

    def start_instances(self) -> ActionResult:
        guests = self._guests("stopped", "pending", "running")
        return self._changes("StartingInstances", guests, {"stopped"}, Guest.start)

    def stop_instances(self) -> ActionResult:
        force = bool(self.params.get("Force"))
        guests = self._guests("running", "stopping", "stopped")
        for guest in guests:
            if guest.one_time:
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{guest.instance.id}' because it is associated with a one-time "
                    "Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance "
                    "requests.",
                )
        return self._changes("StoppingInstances", guests, {"running"}, lambda guest: guest.stop(force=force))

    def reboot_instances(self) -> ActionResult:
        for guest in self._guests("running"):
            guest.reboot()
        return EmptyResult()

    def terminate_instances(self) -> ActionResult:
        guests = self._guests(*CODES)
        for guest in guests:
            if guest.instance.disable_api_termination is True:
                raise EC2ClientError(
                    "OperationNotPermitted",
                    f"The instance '{guest.instance.id}' may not be terminated. Modify its 'disableApiTermination' "
                    "instance attribute and try again.",
                )
        alive = CODES.keys() - {"shutting-down", "terminated"}
        return self._changes("TerminatingInstances", guests, alive, Guest.terminate)

    def describe_instance_status(self) -> ActionResult:
        answer = super().describe_instance_status()
        statuses = []
        for instance in answer.result["InstanceStatuses"]:
            status = {
                "InstanceId": instance.id,
                "AvailabilityZone": instance.placement.zone,
                "InstanceState": instance.instance_state,
                "InstanceStatus": instance.instance_status,
                "SystemStatus": instance.system_status,
            }
            if self._guest(instance.id).panic:
                details = [{"Name": "reachability", "Status": "failed"}]
                status["InstanceStatus"] = {"Status": "impaired", "Details": details}
            statuses.append(status)
        return ActionResult({"InstanceStatuses": statuses})

    def get_console_output(self) -> ActionResult:
        guest = self._guest(self.params.get("InstanceId", ""))
        output = Base64EncodedString(base64.b64encode(guest.console).decode())
        return ActionResult({"InstanceId": guest.instance.id, "Timestamp": utcnow(), "Output": output})

    def modify_instance_metadata_options(self) -> ActionResult:
        answer = super().modify_instance_metadata_options()
        self._guest(self.params["InstanceId"]).refresh_metadata()
        return answer
