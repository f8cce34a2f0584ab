"""The build: a compiled AMI in, an image out, nothing else left.

Every resource is in the ledger before it is asked for, and whatever happens after that, an interrupt included, ends in
:meth:`_Build.close`: the console is saved and all that is open is ended. Only a build that got to its last line leaves
an image and an ``ami.json``.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ..artifacts import (
    AMI_ENV,
    AMI_JSON,
    CONSOLE_LOG,
    LEDGER,
    BuildResult,
    CompiledAmi,
    ImageRecord,
    env_text,
    read_compiled,
    to_json,
    write_file,
)
from ..cloud import cleanup, storage
from ..cloud.environments import Environment
from ..cloud.ledger import INSTANCE, KINDS, OBJECT, Ledger, Scope
from ..cloud.session import Cloud
from ..cloud.waiting import CLOCK, UNCERTAIN, Clock, poll
from ..errors import AmiError, CloudError, HostError, InstanceTimeout, StorageError
from ..progress import Progress, Step, duration, size
from ..verdict import markers
from . import base as bases
from . import request, reuse
from .base import Base
from .console import Console
from .image import ImageMaker, Made
from .judge import Decision, Observation, failure, judge

_NEXT_TYPE = frozenset({"InsufficientInstanceCapacity", "InstanceTypeNotSupported", "Unsupported"})
"""Error codes of RunInstances that another instance type may not meet."""
_URL_MARGIN = 600
"""Seconds that a presigned URL outlives the instance's time."""


def build(
    compiled: Path,
    environment: Environment,
    output: Path,
    progress: Progress,
    *,
    timeout: float | None = None,
    reuse: bool = False,
    clock: Clock = CLOCK,
) -> BuildResult:
    """Build an image from a compiled AMI and write ``ami.json``, ``ami.env``, ``console.log`` and ``ledger.jsonl``.

    :param compiled: the folder that compile wrote
    :param output: where the files go; may be the same folder
    :param timeout: seconds that the instance has, instead of the manifest's
    :param reuse: an available image that was made of the same inputs is the result, and nothing is launched
    :raises InputError: the compiled AMI or its base is not usable
    :raises StorageError: no storage for the overlay, or a size is out of range
    :raises InstanceTimeout: and :class:`ImageTimeout`, when a deadline has passed
    :raises InstanceFailure: the instance reported failure, or ended without proof of success
    :raises CloudError: the cloud refused
    """
    ami = read_compiled(compiled)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"the output folder cannot be made: {error.strerror}", where=output) from error
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(output / LEDGER))
        work = _Build(ami, environment, output, ledger, progress, timeout, clock, stack)
        try:
            return work.run(may_reuse=reuse)
        finally:
            work.close()


class _Build:
    def __init__(
        self,
        ami: CompiledAmi,
        environment: Environment,
        output: Path,
        ledger: Ledger,
        progress: Progress,
        timeout: float | None,
        clock: Clock,
        stack: ExitStack,
    ) -> None:
        self.ami = ami
        self.manifest = ami.manifest
        self.environment = environment
        self.output = output
        self.ledger = ledger
        self.progress = progress
        self.timeout = timeout if timeout is not None else float(ami.manifest.timeouts.instance)
        self.clock = clock
        self.stack = stack
        self.cloud = stack.enter_context(Cloud(environment))
        self.identity = uuid.uuid4().hex
        self.timings: dict[str, float] = {}
        self.console: Console | None = None

    def run(self, *, may_reuse: bool) -> BuildResult:
        cleanup.retract(self.output)
        (self.output / CONSOLE_LOG).unlink(missing_ok=True)
        reference = bases.parse(self.manifest.base)
        place = self._place()
        account = self.cloud.check_account(self.environment.account)
        self._end_leftovers()
        with self._step("base", f"Base image {self.manifest.base}") as step:
            base = bases.resolve(self.cloud, reference, self.manifest.architecture)
            request.check_volume(self.manifest, base)
            step.done(f"{base.image_id} {base.name}".rstrip())
        inputs = reuse.input_digest(self.manifest, base)
        if may_reuse and (found := self._find(inputs)):
            return self._write(self._result(found, base, reused=True))
        self._check_there()
        images = ImageMaker(self.cloud, self.ledger, self.manifest, self.identity, self.clock)
        with self._step("number", "Build number") as step:
            number = images.next_number()
            step.done(request.image_name(self.manifest, number))
        tagged = request.tags(self.manifest, self.environment, base, self.identity, number)
        self.ledger.begin(Scope.of(self.environment, self.identity, account))
        user_data = self._upload(place) if place else self.ami.userdata
        with self._step("launch", "Launch") as step:
            instance, instance_type = self._launch(base, user_data, tagged)
            step.done(f"{instance} ({instance_type})")
        with self._step("instance", f"Instance {instance}") as step:
            self._wait(instance, step)
            step.done("proved success and powered off")
        with self._step("image", "Image") as step:
            made = images.make(instance, number, tagged, step)
            step.done(f"{made.image_id} {made.name}")
        with self._step("terminate", "Terminate"):
            for outcome in self._end((INSTANCE, OBJECT)):
                if outcome.error:
                    raise outcome.error
        result = self._write(
            self._result(
                made,
                base,
                instance_id=instance,
                instance_type=instance_type,
                userdata_sha256=hashlib.sha256(user_data).hexdigest(),
            )
        )
        self.ledger.keep(self.identity)
        self._mark(made, inputs)
        return result

    def close(self) -> None:
        """Save the console and end all that this build still has open. Raises nothing but an interrupt."""
        self._save_console()
        for outcome in self._end(KINDS):
            if outcome.error:
                self.progress.warn(
                    f"{outcome.entry} may still exist: {outcome.error.line()} "
                    f"Run 'jenkins-ami cleanup {self.ledger.path}'."
                )

    def _result(
        self,
        made: Made,
        base: Base,
        *,
        instance_id: str = "",
        instance_type: str = "",
        userdata_sha256: str = "",
        reused: bool = False,
    ) -> BuildResult:
        return BuildResult(
            name=self.manifest.name,
            version=self.manifest.version,
            build=made.number,
            image_name=made.name,
            images={self.environment.region: ImageRecord(made.image_id, made.snapshot_ids)},
            base=base.image_id,
            environment=self.environment.name,
            region=self.environment.region,
            instance_id=instance_id,
            instance_type=instance_type,
            verdict=markers.OK,
            userdata_sha256=userdata_sha256,
            digest=self.manifest.digest,
            timings=self.timings,
            tests=self.manifest.tests,
            reused=reused,
        )

    def _write(self, result: BuildResult) -> BuildResult:
        image = result.images[result.region]
        write_file(self.output / AMI_ENV, env_text({"AMINAME": result.image_name, "AMIID": image.image_id}))
        write_file(self.output / AMI_JSON, to_json(result))
        return result

    # Steps

    def _find(self, inputs: str) -> Made | None:
        with self._step("reuse", "Image of the same inputs") as step:
            found = reuse.find(self.cloud, self.manifest, inputs)
            step.done(f"{found.image_id} {found.name} is reused, nothing is launched" if found else "none")
        return found

    def _mark(self, made: Made, inputs: str) -> None:
        """The image is good and stays, whether later builds can find it or not."""
        try:
            reuse.mark(self.cloud, made, inputs)
        except CloudError as error:
            self.progress.warn(f"{made.image_id} cannot be reused by later builds: {error.line()}")

    def _place(self) -> storage.Place | None:
        """Where the overlay is to be uploaded, if it is."""
        overlay = self.manifest.overlay
        if overlay.placement != "storage" or overlay.access == "https":
            return None
        if overlay.access == "profile" and self.environment.instance_profile is None:
            raise StorageError(
                "the instance is to download its overlay with the rights of its profile, and there is no profile",
                where=f"environment {self.environment.name}",
                hint="Give the environment an 'instance_profile', or compile with 'access: presigned'",
            )
        return storage.place(overlay.storage, self.environment)

    def _check_there(self) -> None:
        """An overlay that somebody else should have put where the instance looks."""
        overlay = self.manifest.overlay
        if overlay.placement != "storage" or overlay.access != "https":
            return
        url = overlay.storage or ""
        with self._step("storage", f"Overlay at {urlsplit(url).hostname}") as step:
            unclear = storage.check_there(url, overlay.size)
            step.done("not checked" if unclear else size(overlay.size))
        if unclear:
            self.progress.warn(f"{unclear}; whether the overlay is there, the instance will find out")

    def _end_leftovers(self) -> None:
        left = self.ledger.open_entries()
        if left:
            self.progress.info("An earlier build in this folder was cut off; what it left is ended first")
            for outcome in cleanup.end_all(self.ledger, left, self._cloud_for, self.progress, clock=self.clock):
                if outcome.error:
                    raise outcome.error

    def _upload(self, place: storage.Place) -> bytes:
        overlay = self.manifest.overlay
        with self._step("upload", f"Upload the overlay to s3://{place.bucket}", total=overlay.size) as step:
            storage.check_bucket(self.cloud, place)
            key = storage.object_key(place, overlay.sha256, self.identity, overlay.file)
            if overlay.access == "profile":
                url = storage.object_url(self.cloud, place, key)
            else:
                url = storage.presign(self.cloud, place, key, int(self.timeout) + _URL_MARGIN)
            user_data = storage.fill(self.ami.userdata, url)
            entry = self.ledger.intent(OBJECT, f"{place.bucket}/{key}")
            sent = 0

            def on_bytes(count: int) -> None:
                nonlocal sent
                sent += count
                step.advance(sent)

            storage.upload(self.cloud, place, key, self.ami.overlay_file, on_bytes)
            self.ledger.created(entry, f"s3://{place.bucket}/{key}")
            step.done(size(overlay.size))
        return user_data

    def _launch(self, base: Base, user_data: bytes, tagged: dict[str, str]) -> tuple[str, str]:
        types = self.environment.instance_types or self.manifest.instance_types
        for index, instance_type in enumerate(types):
            token = f"{self.identity}-{index}"  # EC2 refuses one token for two different requests
            wanted = request.run_instances(
                self.manifest,
                self.environment,
                base,
                instance_type=instance_type,
                token=token,
                user_data=user_data,
                tagged=tagged,
            )
            entry = self.ledger.intent(INSTANCE, token)
            try:
                with self.cloud.calls():
                    answer = self.cloud.ec2.run_instances(**wanted)
            except CloudError as error:
                if error.code not in UNCERTAIN:  # a call without a clear answer may have had an effect
                    self.ledger.gone(entry)
                if error.code in _NEXT_TYPE and instance_type != types[-1]:
                    self.progress.info(f"{instance_type} cannot be had here [{error.code}], trying {types[index + 1]}")
                    continue
                raise
            instance = answer["Instances"][0]["InstanceId"]
            self.ledger.created(entry, instance)
            self.console = Console(self.cloud, instance, self.progress)
            return instance, instance_type
        raise AssertionError("a manifest has at least one instance type")

    def _wait(self, instance: str, step: Step) -> None:
        assert self.console is not None
        console, pace = self.console, self.environment.pace
        launched = next_read = self.clock.now()
        ended: float | None = None

        def look() -> Decision | None:
            nonlocal next_read, ended
            now = self.clock.now()
            state, reason, message = self._state(instance, now - launched < pace.settle)
            if ended is None and state in ("stopped", "shutting-down", "terminated"):
                ended = next_read = now
            if now >= next_read:
                next_read = now + pace.console
                console.read()
            verdict = markers.parse(console.raw, self.manifest.nonce)
            seen = Observation(state, verdict, reason, message, now - launched, 0.0 if ended is None else now - ended)
            decision = judge(seen, timeout=self.timeout, lag=pace.console_lag)
            at = _latest(verdict.steps) or console.last_line()
            step.status(f"{state}: {at[:60]}" if at else state)
            return None if decision.kind == "continue" else decision

        longest = self.timeout + pace.console_lag + pace.state_longest
        decision = poll(look, seconds=longest, pace=pace, clock=self.clock)
        verdict = markers.parse(console.raw, self.manifest.nonce)
        if decision is None or decision.kind == "timeout":
            at = _latest(verdict.steps)
            raise InstanceTimeout(
                (decision.why if decision else f"the instance did not stop within {duration(longest)}")
                + (f", at {at}" if at else ""),
                detail=console.tail(),
                hint="Look at console.log; 'timeouts: instance:' in ami.yaml and --timeout give it more seconds",
            )
        if decision.kind == "failure":
            raise failure(decision.why, verdict, self.manifest, console.tail())

    def _state(self, instance: str, young: bool) -> tuple[str, str, str]:
        """The instance's state, and StateReason's code and message."""
        try:
            with self.cloud.calls():
                answer = self.cloud.ec2.describe_instances(InstanceIds=[instance])
        except CloudError as error:
            if error.code in cleanup.UNKNOWN and young:
                return "pending", "", ""
            raise
        found = answer["Reservations"][0]["Instances"][0]
        reason = found.get("StateReason", {})
        return found["State"]["Name"], reason.get("Code", ""), reason.get("Message", "")

    # What steps share

    @contextmanager
    def _step(self, key: str, title: str, total: int | None = None) -> Iterator[Step]:
        with self.progress.step(title, total) as step:
            yield step
        self.timings[key] = round(step.seconds, 3)

    def _cloud_for(self, scope: Scope) -> Cloud:
        """The API where an entry was made: ours, for a local cloud that came back at another port as well."""
        own = Scope.of(self.environment, scope.build, scope.account)
        if scope == own or (scope.state is not None and scope.state == own.state):
            return self.cloud
        return self.stack.enter_context(Cloud(scope.as_environment()))

    def _end(self, kinds: Iterable[str]) -> list[cleanup.Outcome]:
        entries = [entry for entry in self.ledger.open_entries(kinds) if entry.scope.build == self.identity]
        return cleanup.end_all(self.ledger, entries, self._cloud_for, self.progress, clock=self.clock)

    def _save_console(self) -> None:
        if self.console is None:
            return
        try:
            if markers.parse(self.console.raw, self.manifest.nonce).state != markers.OK:
                self.console.read()
        except CloudError as error:
            self.progress.detail(f"the console could not be read once more: {error.line()}")
        try:
            write_file(self.output / CONSOLE_LOG, "\n".join(self.console.lines()))
        except AmiError as error:
            self.progress.warn(error.line())


def _latest(steps: tuple[str, ...]) -> str:
    """Where the instance is in its runcmd, as far as its console tells; empty before it begins."""
    return steps[-1].strip() if steps else ""
