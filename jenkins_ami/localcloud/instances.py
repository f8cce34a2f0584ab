"""Instances: an EC2 instance as moto models it, tied to the machine that it really is.

A :class:`Guest` owns one instance's volume, machine and metadata service, and keeps moto's model true to them. The
:class:`Fleet` owns all guests of one server. How the API asks for any of this is :mod:`.ec2`'s business.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import AmiError, HostError
from ..progress import Progress
from .hardware import Computer, Hardware, Size
from .machine import GUEST_ADDRESS, End
from .profile import Issuer
from .records import ImageRecord, SnapshotRecord
from .store import ImageStore

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""EC2's instance states and their codes (API reference, InstanceState)."""

STOP_GRACE = 60.0
"""Seconds that a guest has to shut down by itself before its machine is ended."""

BY_INSTANCE = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
BY_HOST = "Server.InternalError"


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
        self.one_time = False
        """Whether it is of a one-time spot request."""
        self.volume_id: str = instance.block_device_mapping[image.root_device].volume_id
        self.folder = fleet.store.state / "instances" / instance.id
        self.machine: Computer | None = None
        self._console = b""
        self._jobs = fleet.workers(instance.id)
        instance.root_device_name = image.root_device
        nic = instance.nics[0]
        nic.private_ip_address = GUEST_ADDRESS
        nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": GUEST_ADDRESS}]
        nic.public_ip, nic.public_ip_auto_assign = None, False
        instance.security_groups = instance.security_groups or list(nic.group_set)

    @property
    def state(self) -> str:
        return str(self.instance._state.name)

    @property
    def machine_runs(self) -> bool:
        return self.machine is not None and self.machine.running

    @property
    def console(self) -> bytes:
        """The last 64 KiB of the serial console; what is left of it after the machine has gone."""
        return self.machine.console() if self.machine else self._console

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
        if self.machine_runs and self.machine:
            self.machine.reset()
        else:  # it panicked: EC2 says `running`, and a reboot brings it back
            self._boot()

    def terminate(self) -> None:
        self._set("shutting-down", BY_USER, self._stamp())
        if self.machine:  # a job that waits for the guest to shut down need wait no longer
            threading.Thread(target=self.machine.kill, daemon=True).start()
        self._jobs.submit(self._terminate)

    def refresh_metadata(self) -> None:
        """Tell the metadata service of changed options, tags or user-data."""
        if self.machine:
            self.machine.refresh()

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
        if self.machine:
            if force:
                self.machine.kill()
            else:
                self.machine.shutdown(STOP_GRACE)
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
            if self.machine:
                self.machine.shutdown(STOP_GRACE)
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
        self.panic = ""
        machine = self.fleet.hardware(self)
        machine.start()
        self.machine = machine
        self._set("running")

    def _kill(self) -> None:
        if self.machine:
            self.machine.kill()

    def ended(self, end: End) -> None:
        """Called by a machine that has ended. Where we ended it ourselves, the one who did so says what follows."""
        with self.fleet.lock:
            self.fleet.progress.detail(f"{self.instance.id}: {end.reason}, {end.detail}")
            if self.state not in ("pending", "running") or end.reason == "killed":
                return
            if end.reason == "panic":  # EC2 does not look inside: the instance is `running`, its status `impaired`
                self.panic = end.detail
            elif end.reason == "crashed":
                self.come_to("stopped", (BY_HOST, f"{BY_HOST}: {end.detail}"))
            else:
                self.come_to("stopped" if self.stops else "terminated", BY_INSTANCE)

    @property
    def stops(self) -> bool:
        """Whether a power-off from inside stops it; else it terminates it.

        An instance of a one-time spot request cannot be stopped (EC2 User Guide, "Stop a Spot Instance").
        """
        return self.instance.instance_initiated_shutdown_behavior != "terminate" and not self.one_time

    def come_to(self, state: Literal["stopped", "terminated"], reason: tuple[str, str]) -> None:
        """It is stopped or terminated, and not because the API was asked to. Called under the fleet's lock.

        :param reason: StateReason's code and message
        """
        if state == "terminated":
            self._terminated(reason, "")
        else:
            self._set(state, reason)

    def _terminated(self, reason: tuple[str, str], transition: str) -> None:
        self._console = self.console
        self._kill()
        self.machine = None
        if self.state != "terminated":
            device = self.instance.block_device_mapping[self.image.root_device]
            self.instance.terminate()  # moto detaches the volume, and deletes it when it goes with its instance
            if device.delete_on_termination:
                self.fleet.store.delete_volume(self.volume_id)
        self._set("terminated", reason, transition)
        self._jobs.shutdown(wait=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def one_thread(name: str) -> Executor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


class Fleet:
    """All guests of one server.

    :param hardware: what makes their machines
    :param workers: makes what runs the jobs of one guest, one after the other
    """

    def __init__(
        self, store: ImageStore, hardware: Hardware, progress: Progress, workers: Callable[[str], Executor] = one_thread
    ) -> None:
        self.store = store
        self.hardware = hardware
        self.workers = workers
        self.progress = progress
        self.lock = threading.RLock()
        self.guests: dict[str, Guest] = {}
        self.issuer = Issuer()
        self.closing = False

    def guest(self, instance: Any, image: ImageRecord, size: Size, reservation_id: str) -> Guest:
        """The guest for an instance that is to be launched."""
        guest = self.guests[instance.id] = Guest(self, instance, image, size, reservation_id)
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
