"""What is behind an instance: a machine under QEMU and its metadata service.

:class:`Computer` is all that a guest knows of it, so that a fleet can be given another maker of machines.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import HostError
from .accel import Accel
from .imds import KeyPair, Metadata, MetadataService, SecurityGroup
from .machine import GUEST_ADDRESS, OVMF_CODE, Disk, Machine, MachineSpec
from .profile import Credentials

if TYPE_CHECKING:
    from .instances import Guest

MAX_VCPUS = 4
MAX_MEMORY = 4096
"""What a machine gets at most, in MiB, whatever its instance type says: this is somebody's laptop."""
VCPUS = "JENKINS_AMI_VCPUS"
"""Names a lower limit of processors, for a host that runs several machines at once: under TCG one with a single
processor takes a fifth less of the host's time (measured: 58 s instead of 75 s for a plain boot to power-off)."""


@dataclass(frozen=True)
class Size:
    """What an instance type is here: virtual processors, and memory in MiB."""

    vcpus: int
    memory: int


def size_of(instance_type: dict[str, Any]) -> Size:
    """The machine for an instance type as DescribeInstanceTypes has it, within what a laptop can give."""
    memory = instance_type["MemoryInfo"]["SizeInMiB"]
    return Size(vcpus(instance_type["VCpuInfo"]["DefaultVCpus"]), min(memory, MAX_MEMORY))


def vcpus(wanted: int) -> int:
    """How many virtual processors a machine gets.

    :raises HostError: the limit in the environment is no number
    """
    limit = os.environ.get(VCPUS) or str(MAX_VCPUS)
    if not limit.isdecimal() or int(limit) < 1:
        raise HostError(f"{VCPUS} is '{limit}'", hint="Give the number of processors that a machine may have")
    return min(wanted, MAX_VCPUS, int(limit), os.cpu_count() or 1)


def firmware_for(boot_mode: str) -> Literal["bios", "uefi"]:
    """As EC2 chooses on a type that has both (EC2 User Guide, "Amazon EC2 boot modes")."""
    if boot_mode == "uefi" or (boot_mode == "uefi-preferred" and OVMF_CODE.exists()):
        return "uefi"
    return "bios"


class Computer(Protocol):
    """A guest's machine. It is started once; when it ends by itself, it calls :meth:`.instances.Guest.ended`."""

    @property
    def running(self) -> bool: ...

    def start(self) -> None:
        """:raises HostError: when this host cannot run it; nothing is left of it then"""

    def kill(self) -> None:
        """End it at once, if it has not, and give back all that it holds."""

    def shutdown(self, grace: float) -> None:
        """Press the power button; end it when it still runs ``grace`` seconds later."""

    def reset(self) -> None:
        """Press the reset button."""

    def console(self) -> bytes:
        """The last 64 KiB of the serial console, also when it has ended."""

    def refresh(self) -> None:
        """What its metadata service tells has changed."""


Hardware = Callable[["Guest"], Computer]
"""Makes the machine for a guest whose volume is there."""


class QemuHardware:
    """Makes real machines.

    :param port: of the server on 127.0.0.1, where guests find S3
    """

    def __init__(self, accel: Accel, port: int) -> None:
        self.accel = accel
        self.port = port

    def __call__(self, guest: Guest) -> QemuComputer:
        return QemuComputer(guest, self.accel, self.port)


class QemuComputer:
    """A :class:`.machine.Machine` with its metadata service."""

    def __init__(self, guest: Guest, accel: Accel, port: int) -> None:
        instance, folder = guest.instance, guest.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._guest = guest
        self._closing = threading.Lock()
        self.imds = MetadataService(metadata_of(guest), folder / "imds.sock")
        spec = MachineSpec(
            instance_id=instance.id,
            instance_type=instance.instance_type,
            mac=instance.nics[0].mac_address,
            disks=(Disk(guest.fleet.store.volume(guest.volume_id), guest.volume_id),),
            runtime=folder,
            imds_socket=self.imds.socket_path,
            s3_port=port,
            vcpus=guest.size.vcpus,
            memory=guest.size.memory,
            firmware=firmware_for(guest.image.boot_mode),
        )
        self.machine = Machine(spec, accel=accel, on_end=guest.ended)

    @property
    def running(self) -> bool:
        return self.machine.running

    def start(self) -> None:
        self.imds.start()
        try:
            self.machine.start()
        except BaseException:
            self.imds.close()
            raise

    def kill(self) -> None:
        self.machine.kill()
        with self._closing:  # a termination does not wait for a shut-down that is under way
            self.imds.close()

    def shutdown(self, grace: float) -> None:
        self.machine.shutdown(grace)

    def reset(self) -> None:
        self.machine.reset()

    def console(self) -> bytes:
        return self.machine.console()

    def refresh(self) -> None:
        self.imds.metadata = metadata_of(self._guest)


def metadata_of(guest: Guest) -> Metadata:
    """What a guest's metadata service tells now."""
    instance = guest.instance
    backend, nic, options = instance.ec2_backend, instance.nics[0], instance.metadata_options
    key = backend.key_pairs.get(instance.key_name)
    profile = (instance.iam_instance_profile or {}).get("Arn")
    return Metadata(
        instance_id=instance.id,
        image_id=guest.image.id,
        instance_type=instance.instance_type,
        region=backend.region_name,
        zone=instance.placement.zone,
        account=backend.account_id,
        mac=nic.mac_address,
        private_ip=GUEST_ADDRESS,
        interface_id=nic.id,
        subnet_id=nic.subnet.id,
        vpc_id=nic.subnet.vpc_id,
        subnet_cidr=nic.subnet.cidr_block,
        reservation_id=guest.reservation_id,
        security_groups=tuple(SecurityGroup(group.id, group.name) for group in nic.group_set),
        root_device=guest.image.root_device,
        launch_index=instance.ami_launch_index,
        life_cycle="spot" if instance.lifecycle == "spot" else "on-demand",
        user_data=base64.b64decode(str(instance.user_data)) if instance.user_data else None,
        key=KeyPair(key.key_name, key.public_key) if key else None,
        tags={tag["key"]: tag["value"] for tag in instance.get_tags()}
        if options.instance_metadata_tags == "enabled"
        else None,
        instance_profile=profile,
        credentials=_credentials(guest, profile),
        endpoint_enabled=options.http_endpoint != "disabled",
        tokens_required=options.http_tokens == "required",
    )


def _credentials(guest: Guest, profile: str | None) -> Callable[[], Credentials] | None:
    """What gives the credentials of the profile's role, when it has one."""
    if profile is None:
        return None
    from moto.ec2.utils import filter_iam_instance_profiles

    backend = guest.instance.ec2_backend
    found = filter_iam_instance_profiles(backend.account_id, backend.partition, profile, None)
    if not found.roles:
        return None
    role, instance, issuer = found.roles[0].name, guest.instance.id, guest.fleet.issuer
    return lambda: issuer.credentials(instance, role)
