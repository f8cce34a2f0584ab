"""The local cloud's own EC2 and S3 application, with simulated machines in the place of QEMU's.

A simulated machine boots at once and does what its user-data makes of it: with a build's verdict in it, it says OK with
the build's nonce and powers itself off; with a source's tests (:mod:`jenkins_ami.verdict.image_tests`) it says that
they passed. A :class:`Script` makes it do anything else that EC2 can do to an instance and its image. Nothing happens
between two calls: what is due has happened when the next call is answered.

In a test's own process the fixture ``server`` of ``conftest.py`` has one (:mod:`.server`). As a process of its own::

    python -m tests.cloud.simulated --state DIR [--port 0]

says its URL on the first line and runs until SIGTERM. ``POST /.simulated`` with JSON scripts it
(:meth:`Simulation.tell`), ``GET /.simulated`` says what is there and how often each action was called.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import StateReason

from jenkins_ami.localcloud.ec2 import Responses
from jenkins_ami.localcloud.instances import Fleet
from jenkins_ami.localcloud.records import ImageRecord, SnapshotRecord
from jenkins_ami.localcloud.server import Application, listen, serve
from jenkins_ami.localcloud.store import ImageStore, new_id, now
from jenkins_ami.progress import Progress

from .simulation import NAME, Development, Script, Shortage, Simulation

__all__ = ["REGION", "Script", "Shortage", "SimulatedCloud", "Simulation", "make_image"]

TERMINATED = 100
"""Instances that are known after their end; up to twice as many."""
REGION = "eu-central-1"
CONTROL = "/.simulated"


def _key(action: str, values: Iterable[str]) -> str:
    """An action in snake case; a look at instances by their ids is ``describe_instances_by_id``."""
    if action == "DescribeInstances" and any(name.startswith("InstanceId.") for name in values):
        return "describe_instances_by_id"
    return camelcase_to_underscores(action)


class SimulatedResponses(Responses):
    """The local cloud's actions, bent by a simulation."""

    simulation: Simulation

    def _dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.simulation.before
        if before and (hook := before.get(_key(request.values.get("Action", ""), request.values))):
            hook()
        return super()._dispatch(request, *args, **kwargs)

    def _sync(self) -> None:
        super()._sync()
        simulation = self.simulation
        simulation.happen()
        self._forget_terminated()
        simulation.calls[self._get_action()] += 1
        if simulation.images:
            self._show_images()
        if simulation.refusals:
            for key in dict.fromkeys((_key(self._get_action(), self.data), _key(self._get_action(), {}))):
                if refusals := simulation.refusals.get(key):
                    raise refusals.pop(0)

    def _forget_terminated(self) -> None:
        """EC2 knows an instance for about an hour after its end; a table of a thousand builds takes less."""
        ended = [
            (key, reservation)
            for key, reservation in self.ec2_backend.reservations.items()
            if all(each._state.name == "terminated" for each in reservation.instances)
        ]
        for key, reservation in ended[:-TERMINATED] if len(ended) > 2 * TERMINATED else ():
            del self.ec2_backend.reservations[key]
            for instance in reservation.instances:
                self.fleet.guests.pop(instance.id, None)
                self.ec2_backend.tags.pop(instance.id, None)

    def call_action(self) -> Any:
        answer = super().call_action()
        losses = self.simulation.losses.get(camelcase_to_underscores(self._get_action()))
        if losses and answer[0] == 200:
            raise losses.pop(0)
        return answer

    # Instances

    def _run_instances(self) -> ActionResult:
        asked = dict(self.params)
        if not asked.get("DryRun"):
            self.simulation.shortage(asked)
        answer = super()._run_instances()
        launch = {"user_data": asked.get("UserData") or "", "params": asked}
        launch["iam_instance_profile_name"] = asked.get("IamInstanceProfile", {}).get("Name")
        self.simulation.launches.append(launch)
        reservation: Any = answer.result
        for instance in reservation.instances:
            if count := self.simulation.script_for(self.fleet.guests[instance.id]).unknown:
                self.simulation.unknown[instance.id] = count
        return answer

    def describe_instances(self) -> ActionResult:
        ids = self.params.get("InstanceIds", [])
        self._unless_unknown(ids, "InvalidInstanceID.NotFound", "The instance ID '{}' does not exist")
        answer = super().describe_instances()
        result: Any = answer.result
        if self.simulation.unknown and not ids:
            result["Reservations"] = [
                each for each in result["Reservations"] if not self._is_unknown(each.instances[0].id)
            ]
        return answer

    def _unless_unknown(self, ids: Iterable[str], code: str, message: str) -> None:
        for each in ids:
            if self._is_unknown(each):
                raise EC2ClientError(code, message.format(each))

    def _is_unknown(self, resource: str) -> bool:
        """Whether a look at a resource does not find it yet. It is a look."""
        left = self.simulation.unknown.get(resource, 0)
        if left:
            self.simulation.unknown[resource] = left - 1
        return left > 0

    # Images and snapshots

    def create_image(self) -> ActionResult:
        answer = super().create_image()
        guest = self._guest(self.params["InstanceId"])
        return self._scripted(answer, self.simulation.script_for(guest))

    def _copy_image(self) -> ActionResult:
        answer = super()._copy_image()
        tags = self.ec2_backend.tags.get(self._image_of(answer), {})
        return self._scripted(answer, self.simulation.rules.get(tags.get(NAME, ""), self.simulation.script))

    @staticmethod
    def _image_of(answer: ActionResult) -> str:
        result: Any = answer.result
        return str(result["ImageId"])

    def _scripted(self, answer: ActionResult, script: Script) -> ActionResult:
        image = self._image_of(answer)
        if script.image_states:
            self.simulation.images[image] = Development(self.region, script, list(script.image_states))
        if script.unknown:
            self.simulation.unknown[image] = script.unknown
        if script.snapshot_progress:
            self.simulation.progress[image] = list(script.snapshot_progress)
        return answer

    def _show_images(self) -> None:
        """Give images with a script the state that it is their turn to have, and their snapshots what goes with it."""
        simulation, backend = self.simulation, self.ec2_backend
        for image_id, development in list(simulation.images.items()):
            if development.region != self.region:
                continue
            script, states, image = development.script, development.states, backend.amis.get(image_id)
            if image is None:
                self._reveal(development.snapshot)
                del simulation.images[image_id]
                continue
            if image.state == "failed":
                continue
            development.snapshot = snapshot = image.record.snapshot_id
            if states:
                image.state = states[0]
            elif image_id not in self.pending:
                image.state = "available"
                del simulation.images[image_id]
            if image.state == "failed":
                image.state_reason = StateReason(script.image_reason, script.image_reason)
            if image.state == "pending" and not script.snapshot_progress:
                if snapshot in backend.snapshots:
                    simulation.hidden[snapshot] = backend.snapshots.pop(snapshot)
                continue
            self._reveal(snapshot)
            if shown := backend.snapshots.get(snapshot):
                left = simulation.progress.get(image_id, [])
                shown.percent = left[0] if left and image.state == "pending" else 100
                shown.status = "pending" if image.state == "pending" else "completed"

    def _reveal(self, snapshot: str) -> None:
        if (hidden := self.simulation.hidden.pop(snapshot, None)) and snapshot in self.fleet.store.snapshots():
            self.ec2_backend.snapshots.setdefault(snapshot, hidden)

    def describe_images(self) -> ActionResult:
        ids = self.params.get("ImageIds", [])
        self._unless_unknown(ids, "InvalidAMIID.NotFound", "The image id '[{}]' does not exist")
        answer = super().describe_images()
        result: Any = answer.result
        if self.simulation.unknown and not ids:
            result["Images"] = [each for each in result["Images"] if not self._is_unknown(each.id)]
        for image in result["Images"]:
            development = self.simulation.images.get(image.id)
            if development and development.states:
                development.states.pop(0)
        return answer

    def describe_snapshots(self) -> ActionResult:
        answer = super().describe_snapshots()
        for left in self.simulation.progress.values():
            if len(left) > 1:
                left.pop(0)
        return answer


# Disks that have no bytes, so that nothing is run to make them


def overlay(disk: Path, layer: str, size: int) -> None:
    """A qcow2 file of a header only; an empty ``layer``: it stands alone."""
    name = layer.encode()
    disk.write_bytes(struct.pack(">4sIQI", b"QFI\xfb", 3, 20 if name else 0, len(name)) + name)


def make_image(store: ImageStore, name: str, *, size: int = 8, region: str, **changes: Any) -> ImageRecord:
    """An image of nothing in ``store``.

    :param size: GiB
    :param changes: fields of its record
    """
    snapshot, volume = new_id("snap"), new_id("vol")
    store.require_space()
    store.disks.mkdir(exist_ok=True)
    overlay(store.volume(volume), "", size)
    store.freeze_volume(volume, SnapshotRecord(snapshot, region, f"{snapshot}.qcow2", size, now(), "vol-ffffffff"))
    store.delete_volume(volume)
    image = replace(ImageRecord(new_id("ami"), region, name, snapshot, size, now()), **changes)
    if image.tags or image.kms_key:
        store.revise_snapshot(snapshot, tags=image.tags, kms_key=image.kms_key)
    store.register(image)
    return image


class AtOnce(Executor):
    """Does a guest's jobs when they are asked for, so that nothing happens between two calls."""

    def submit(self, job: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(job(*args, **kwargs))
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """There is nothing to wait for."""


class SimulatedCloud:
    """The application with a simulation behind it, on a state folder of its own."""

    def __init__(self, state: Path) -> None:
        self.simulation = Simulation()
        self.store = ImageStore(state, overlay, durable=False)
        self.store.require_space()
        self.fleet = Fleet(self.store, self.simulation.machine, Progress(), lambda _: AtOnce())
        bent = type("Bent", (SimulatedResponses,), {"simulation": self.simulation})
        self._application = Application(self.fleet, bent)
        self.actions = self._application.ec2

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != CONTROL:
            return self._application(environ, start_response)
        status = "200 OK"
        with self.fleet.lock:
            try:
                if environ["REQUEST_METHOD"] == "POST":
                    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                    self.simulation.tell(json.loads(body))
                answer = self.report()
            except (ValueError, TypeError) as error:
                status, answer = "400 Bad Request", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer, indent=1).encode()]

    def backend(self, region: str) -> Any:
        """moto's backend of a region, up to date with the store and the simulation."""
        actions = self.actions()
        actions.current_account, actions.region = DEFAULT_ACCOUNT_ID, region
        with self.fleet.lock:
            Responses._sync(actions)
            self.simulation.happen()
            actions._show_images()
        return actions.ec2_backend

    def forget(self) -> None:
        """Begin anew: no instance, no image, no script, no request ever made."""
        from moto.ec2.models import ec2_backends
        from moto.ssm.models import ssm_backends

        with self.fleet.lock:
            guests = list(self.fleet.guests.values())
            self.fleet.guests.clear()
        for guest in guests:
            guest.close()
        shutil.rmtree(self.store.state, ignore_errors=True)
        with self.fleet.lock:
            self.simulation.forget()
            for known in (self.actions.answers, self.actions.pending):
                known.clear()
            for backends in (ec2_backends, ssm_backends):
                for backend in list(backends[DEFAULT_ACCOUNT_ID].values()):
                    backend.reset()

    def report(self) -> dict[str, Any]:
        """What is there, in all regions, and how often each action was called."""
        self.simulation.happen()
        return {
            "calls": dict(self.simulation.calls),
            "launches": len(self.simulation.launches),
            "instances": {instance: guest.state for instance, guest in self.fleet.guests.items()},
            "images": {image.id: f"{image.region} {image.name}" for image in self.store.images()},
            "snapshots": {snapshot.id: snapshot.region for snapshot in self.store.snapshots().values()},
        }

    @contextlib.contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Serve it on 127.0.0.1; gives the URL."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listen(port))
            serve(stack, listener, self, Progress())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cloud.simulated", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--base", default="base", help="name of a base image to make in --region; '' makes none")
    parser.add_argument("--region", default=REGION)
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    cloud = SimulatedCloud(arguments.state.absolute())
    if arguments.base and not cloud.store.images():
        make_image(cloud.store, arguments.base, region=arguments.region, tags={"jenkins-ami:base": "scratch/simulated"})
    with cloud.serving(arguments.port) as url:
        print(url, flush=True)
        ended.wait()
    cloud.fleet.close()


if __name__ == "__main__":
    main()
