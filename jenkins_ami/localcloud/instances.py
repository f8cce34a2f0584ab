"""Instances: an EC2 instance as moto models it, tied to the machine that it really is.

A :class:`Guest` owns one instance's volume, machine and metadata service, and keeps moto's model true to them. The
:class:`Fleet` owns all guests of one server. How the API asks for any of this is :mod:`.ec2`'s business.
"""

from __future__ import annotations

import base64
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import AmiError, HostError
from ..progress import Progress
from .accel import Accel
from .imds import KeyPair, Metadata, MetadataService, SecurityGroup
from .machine import GUEST_ADDRESS, OVMF_CODE, Disk, End, Machine, MachineSpec
from .profile import Credentials, Issuer
from .store import ImageRecord, ImageStore, SnapshotRecord

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""EC2's instance states and their codes (API reference, InstanceState)."""

MAX_VCPUS = 4
MAX_MEMORY = 4096
"""What a machine gets at most, in MiB, whatever its instance type says: this is somebody's laptop."""

STOP_GRACE = 60.0
"""Seconds that a guest has to shut down by itself before its machine is ended."""

BY_INSTANCE = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
BY_HOST = "Server.InternalError"


@dataclass(frozen=True)
class Size:
    """What an instance type is here: virtual processors, and memory in MiB."""

    vcpus: int
    memory: int


def size_of(instance_type: dict[str, Any]) -> Size:
    """The machine for an instance type as DescribeInstanceTypes has it, within what a laptop can give."""
    vcpus = instance_type["VCpuInfo"]["DefaultVCpus"]
    memory = instance_type["MemoryInfo"]["SizeInMiB"]
    return Size(min(vcpus, MAX_VCPUS, os.cpu_count() or 1), min(memory, MAX_MEMORY))


def firmware_for(boot_mode: str) -> Literal["bios", "uefi"]:
    """As EC2 chooses on a type that has both (EC2 User Guide, "Amazon EC2 boot modes")."""
    if boot_mode == "uefi" or (boot_mode == "uefi-preferred" and OVMF_CODE.exists()):
        return "uefi"
    return "bios"


class Guest:
    """One instance and its machine, from launch to termination.

    Changes of state happen under the fleet's lock. What takes long (shutting down, freezing a disk) is a job of the
    guest's own thread: jobs of one guest never overlap.

    :param instance: moto's model of it, just made, with its root volume
    :param image: the image it was launched from
    """

    def __init__(self, fleet: Fleet, instance: Any, image: ImageRecord, size: Size, reservation_id: str) -> None:
        self.fleet = fleet
        self.instance = instance
        self.image = image
        self.size = size
        self.reservation_id = reservation_id
        self.panic = ""
        self.volume_id: str = instance.block_device_mapping[image.root_device].volume_id
        self.folder = fleet.store.state / "instances" / instance.id
        self._machine: Machine | None = None
        self._imds: MetadataService | None = None
        self._console = b""
        self._jobs = ThreadPoolExecutor(max_workers=1, thread_name_prefix=instance.id)
        instance.root_device_name = image.root_device
        nic = instance.nics[0]
        nic.private_ip_address = GUEST_ADDRESS
        nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": GUEST_ADDRESS}]
        nic.public_ip, nic.public_ip_auto_assign = None, False

    @property
    def state(self) -> str:
        return str(self.instance._state.name)

    @property
    def pid(self) -> int:
        """Of its machine."""
        assert self._machine is not None, "no machine"
        return self._machine.pid

    @property
    def metadata(self) -> Metadata:
        """What its metadata service tells now."""
        assert self._imds is not None, "no machine"
        return self._imds.metadata

    @property
    def machine_runs(self) -> bool:
        return self._machine is not None and self._machine.running

    @property
    def console(self) -> bytes:
        """The last 64 KiB of the serial console; what is left of it after the machine has gone."""
        return self._machine.console() if self._machine else self._console

    def _set(self, state: str, reason: tuple[str, str] | None = None, transition: str = "") -> None:
        """Tell moto's model; ``reason`` is StateReason's code and message, ``transition`` StateTransitionReason."""
        from moto.ec2.models.instances import StateReason

        self.instance._state.name, self.instance._state.code = state, CODES[state]
        self.instance._reason = transition
        self.instance.state_reason = StateReason(reason[1], reason[0]) if reason else None

    def _stamp(self) -> str:
        return f"User initiated ({datetime.now(UTC):%Y-%m-%d %H:%M:%S} GMT)"

    # What the API asks for. Called under the fleet's lock.

    def launch(self) -> None:
        """Make the volume and start the machine.

        :raises HostError: when this host cannot; the guest is terminated then
        """
        try:
            volume = self.instance.ec2_backend.get_volume(self.volume_id)
            self.fleet.store.create_volume(self.volume_id, self.image.snapshot_id, volume.size)
            self._set("pending")
            self._boot()
        except BaseException as error:
            self._terminated((BY_HOST, f"{BY_HOST}: {error}"), "")
            raise

    def start(self) -> None:
        """Start a stopped instance on the same disk. Where this host cannot, it is stopped again and says why."""
        self._set("pending")
        self._jobs.submit(self._start)

    def stop(self, *, force: bool) -> None:
        """Press the power button, or with ``force`` pull the plug."""
        self._set("stopping", BY_USER, self._stamp())
        self._jobs.submit(self._stop, force)

    def reboot(self) -> None:
        if self.machine_runs and self._machine:
            self._machine.reset()
        else:  # it panicked: EC2 says `running`, and a reboot brings it back
            self._boot()

    def terminate(self) -> None:
        self._set("shutting-down", BY_USER, self._stamp())
        if self._machine:  # a job that waits for the guest to shut down need wait no longer
            threading.Thread(target=self._machine.kill, daemon=True).start()
        self._jobs.submit(self._terminate)

    def refresh_metadata(self) -> None:
        """Tell the metadata service of changed options, tags or user-data."""
        if self._imds:
            self._imds.metadata = self._metadata()

    def snapshot(self, record: SnapshotRecord, then: Callable[[AmiError | None], None]) -> None:
        """Freeze the root volume into ``record``; a running machine is shut down for it and started again.

        ``then`` is called under the fleet's lock with what went wrong, if anything.
        """
        self._jobs.submit(self._freeze, record, then)

    def close(self) -> None:
        """End the machine and free the disk, whatever state it is in. For the server's own end."""
        self._kill()
        self._jobs.shutdown(wait=True, cancel_futures=True)
        self._kill()
        self.fleet.store.delete_volume(self.volume_id)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Jobs. Run in the guest's own thread, without the lock.

    def _start(self) -> None:
        with self.fleet.lock:
            try:
                if self.state in ("pending", "running"):
                    self._boot()
            except HostError as error:
                self._set("stopped", (BY_HOST, f"{BY_HOST}: {error}"))

    def _stop(self, force: bool) -> None:
        if self._machine:
            if force:
                self._machine.kill()
            else:
                self._machine.shutdown(STOP_GRACE)
        with self.fleet.lock:
            if self.state == "stopping":
                self._set("stopped", BY_USER, self.instance._reason)

    def _terminate(self) -> None:
        self._kill()
        with self.fleet.lock:
            self._terminated(BY_USER, self.instance._reason)

    def _freeze(self, record: SnapshotRecord, then: Callable[[AmiError | None], None]) -> None:
        failure: AmiError | None = None
        interrupted = self.machine_runs
        try:
            if self._machine:
                self._machine.shutdown(STOP_GRACE)
            self.fleet.store.freeze_volume(self.volume_id, record)
        except AmiError as error:
            failure = error
        except OSError as error:
            failure = HostError(f"the volume could not be frozen: {error.strerror}")
        with self.fleet.lock:
            then(failure)
        if interrupted:
            self._start()

    # The machine

    def _boot(self) -> None:
        if self.fleet.closing:
            raise HostError("the local cloud is shutting down")
        self._kill()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._imds = MetadataService(self._metadata(), self.folder / "imds.sock")
        self._imds.start()
        spec = MachineSpec(
            instance_id=self.instance.id,
            instance_type=self.instance.instance_type,
            mac=self.instance.nics[0].mac_address,
            disks=(Disk(self.fleet.store.volume(self.volume_id), self.volume_id),),
            runtime=self.folder,
            imds_socket=self.folder / "imds.sock",
            s3_port=self.fleet.port,
            vcpus=self.size.vcpus,
            memory=self.size.memory,
            firmware=firmware_for(self.image.boot_mode),
        )
        self.panic = ""
        self._machine = Machine(spec, accel=self.fleet.accel, on_end=self._ended)
        try:
            self._machine.start()
        except BaseException:
            self._machine = None
            self._imds.close()
            raise
        self._set("running")

    def _kill(self) -> None:
        if self._machine:
            self._machine.kill()
        if self._imds:
            self._imds.close()
            self._imds = None

    def _ended(self, end: End) -> None:
        """Called by a machine that has ended. Where we ended it ourselves, the one who did so says what follows."""
        with self.fleet.lock:
            self.fleet.progress.detail(f"{self.instance.id}: {end.reason}, {end.detail}")
            if self.state not in ("pending", "running") or end.reason == "killed":
                return
            if end.reason == "panic":  # EC2 does not look inside: the instance is `running`, its status `impaired`
                self.panic = end.detail
            elif end.reason == "crashed":
                self._set("stopped", (BY_HOST, f"{BY_HOST}: {end.detail}"))
            elif self.instance.instance_initiated_shutdown_behavior == "terminate":
                self._terminated(BY_INSTANCE, "")
            else:
                self._set("stopped", BY_INSTANCE)

    def _terminated(self, reason: tuple[str, str], transition: str) -> None:
        self._console = self.console
        self._kill()
        self._machine = None
        if self.state != "terminated":
            device = self.instance.block_device_mapping[self.image.root_device]
            self.instance.terminate()  # moto detaches the volume, and deletes it when it goes with its instance
            if device.delete_on_termination:
                self.fleet.store.delete_volume(self.volume_id)
        self._set("terminated", reason, transition)
        self._jobs.shutdown(wait=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _metadata(self) -> Metadata:
        instance = self.instance
        backend, nic, options = instance.ec2_backend, instance.nics[0], instance.metadata_options
        key = backend.key_pairs.get(instance.key_name)
        profile = (instance.iam_instance_profile or {}).get("Arn")
        return Metadata(
            instance_id=instance.id,
            image_id=self.image.id,
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
            reservation_id=self.reservation_id,
            security_groups=tuple(SecurityGroup(group.id, group.name) for group in nic.group_set),
            root_device=self.image.root_device,
            launch_index=instance.ami_launch_index,
            user_data=base64.b64decode(str(instance.user_data)) if instance.user_data else None,
            key=KeyPair(key.key_name, key.public_key) if key else None,
            tags={tag["key"]: tag["value"] for tag in instance.get_tags()}
            if options.instance_metadata_tags == "enabled"
            else None,
            instance_profile=profile,
            credentials=self._credentials(profile),
            endpoint_enabled=options.http_endpoint != "disabled",
            tokens_required=options.http_tokens == "required",
        )

    def _credentials(self, profile: str | None) -> Callable[[], Credentials] | None:
        """What gives the credentials of the profile's role, when it has one."""
        if profile is None:
            return None
        from moto.ec2.utils import filter_iam_instance_profiles

        backend = self.instance.ec2_backend
        found = filter_iam_instance_profiles(backend.account_id, backend.partition, profile, None)
        if not found.roles:
            return None
        role, instance, issuer = found.roles[0].name, self.instance.id, self.fleet.issuer
        return lambda: issuer.credentials(instance, role)


class Fleet:
    """All guests of one server.

    :param port: of the server on 127.0.0.1, where guests find S3
    """

    def __init__(self, store: ImageStore, accel: Accel, port: int, progress: Progress) -> None:
        self.store = store
        self.accel = accel
        self.port = port
        self.progress = progress
        self.lock = threading.RLock()
        self.guests: dict[str, Guest] = {}
        self.issuer = Issuer()
        self.closing = False

    def launch(self, instance: Any, image: ImageRecord, size: Size, reservation_id: str) -> Guest:
        """:raises HostError: when this host cannot run it; it is known as terminated then"""
        guest = self.guests[instance.id] = Guest(self, instance, image, size, reservation_id)
        guest.launch()
        return guest

    def close(self) -> None:
        """End every machine and free every instance's disk. Nothing can be launched after that."""
        with self.lock:
            self.closing = True
            guests = list(self.guests.values())
        for guest in guests:
            guest.close()
        shutil.rmtree(self.store.state / "instances", ignore_errors=True)

    @staticmethod
    def sweep(state: Path) -> None:
        """Remove what the instances of a killed server left. Their machines died with it."""
        shutil.rmtree(state / "instances", ignore_errors=True)
