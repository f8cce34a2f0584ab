"""The build: a compiled AMI in, an image out, nothing else left.

Every resource is in the ledger before it is asked for, and whatever happens after that, an interrupt included, ends in
:meth:`_Build.close`: the consoles are saved and all that is open is ended. Only a build that got to its last line
leaves an image and an ``ami.json``. One that could not even close, killed or cut off from the network, is gone on with
by running it again on the same ledger: each step first looks whether it is done already.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from ..artifacts import (
    AMI_ENV,
    AMI_JSON,
    CONSOLE_LOG,
    FAILURE_JSON,
    LEDGER,
    TEST_CONSOLE_LOG,
    BuildResult,
    CompiledAmi,
    Failure,
    ImageRecord,
    Manifest,
    TestRecord,
    env_text,
    read_build_result,
    read_compiled,
    to_json,
    write_file,
)
from ..cloud import cleanup, finish, storage
from ..cloud.environments import LOCAL, Environment
from ..cloud.ledger import IMAGE, INSTANCE, KINDS, OBJECT, SNAPSHOT, SPOT, Ledger, Scope
from ..cloud.session import Cloud
from ..cloud.waiting import CLOCK, Clock, insist
from ..errors import AmiError, CloudError, HostError, InputError, InstanceTimeout, Interrupted
from ..progress import Progress, duration, size
from ..verdict import markers
from . import first_boot, request, resume, reuse
from .attempts import Attempts, Ended, Errand
from .base import Base, Reference
from .console import readable_text
from .first_boot import FirstBoot
from .image import ImageMaker, Made
from .judge import Decision, Observation, failure, judge
from .launch import Launched
from .plan import Plan
from .prepare import DEFAULTS, Options, Preparation, build_url
from .resume import Recorded

_URL_MARGIN = 600
"""Seconds that a presigned URL outlives the instance's time."""
_CLOSING = 60.0
"""Seconds without an answer from the cloud that the end of a build waits: the agent may be about to be taken away."""
UNPROVED = "unproved"
"""The verdict of an image whose instance powered itself off without a word, where that was allowed."""


def build(
    compiled: Path,
    environment: Environment,
    output: Path,
    progress: Progress,
    options: Options = DEFAULTS,
    *,
    go_on: bool = False,
    change: Callable[[Manifest], Manifest] = lambda manifest: manifest,
    seen: FirstBoot | None = None,
    clock: Clock = CLOCK,
) -> BuildResult:
    """Build an image from a compiled AMI and write ``ami.json``, ``ami.env``, ``console.log`` and ``ledger.jsonl``.

    A build that fails writes ``failure.json`` instead of the first two.

    :param compiled: the folder that compile wrote
    :param output: where the files go; may be the same folder
    :param go_on: with what an earlier build in this folder left, instead of ending that first
    :param change: what is to be different from the manifest
    :param seen: gets what happens on the image's first boot
    :raises InputError: the compiled AMI or its base is not usable
    :raises StorageError: no storage for the overlay, or a size is out of range
    :raises InstanceTimeout: and :class:`ImageTimeout`, when a deadline has passed
    :raises InstanceFailure: the instance reported failure, or ended without proof of success
    :raises CloudError: the cloud refused
    """
    ami = read_compiled(compiled)
    ami = replace(ami, manifest=change(ami.manifest))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"the output folder cannot be made: {error.strerror}", where=output) from error
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(output / LEDGER))
        work = _Build(ami, environment, output, ledger, progress, options, clock, stack, seen or FirstBoot())
        (output / FAILURE_JSON).unlink(missing_ok=True)
        try:
            return work.run(go_on=go_on)
        except (AmiError, Interrupted) as error:
            work.tell(error)
            raise
        finally:
            work.close()


class _Build(Preparation):
    def __init__(
        self,
        ami: CompiledAmi,
        environment: Environment,
        output: Path,
        ledger: Ledger,
        progress: Progress,
        options: Options,
        clock: Clock,
        stack: ExitStack,
        seen: FirstBoot,
    ) -> None:
        super().__init__(ami, environment, progress, options, clock, stack)
        self.output = output
        self.ledger = ledger
        self.identity = uuid.uuid4().hex
        self.consoles: dict[str, Attempts] = {}
        self.seen = seen

    def run(self, *, go_on: bool) -> BuildResult:
        found = resume.recorded(self.ledger) if go_on else None
        if found is not None:
            resume.check_same(found, self.ami.path, self.ledger.path)
        account = self.check_account()
        if found is not None and found.finished:
            return self._finished(found)
        if go_on and found is None:
            self.progress.info("Nothing of an earlier build is left to go on with: this is a new one")
        cleanup.retract(self.output)
        for name in (CONSOLE_LOG, TEST_CONSOLE_LOG):
            (self.output / name).unlink(missing_ok=True)
        self._end_leftovers(but=found.scope.build if found else None)
        if found is not None:
            plan = self._planned_before(found, account)
            return self._build(plan, found)
        base = self.find_base()
        inputs = reuse.input_digest(self.manifest, base, self.wanted)
        if self.options.reuse and (image := self._find(inputs)):
            return self._write(self._result(image, base, inputs=inputs, reused=True))
        plan, _ = self.prepare(self.identity, base)
        self.ledger.begin(Scope.of(self.environment, self.identity, account))
        self.ledger.fact(
            resume.PLAN,
            compiled=str(self.ami.path.absolute()),
            manifest=resume.manifest_digest(self.ami.path),
            base=base.image_id,
            number=plan.number,
            began=round(time.time(), 3),
            options=asdict(self.options),
        )
        return self._build(plan, None)

    def tell(self, error: AmiError | Interrupted) -> None:
        """Write down why the build failed."""
        line = error.line() if isinstance(error, AmiError) else f"interrupted by {error}."
        detail = "\n".join(error.detail) if isinstance(error, AmiError) else ""
        tested = first_boot.records(self.seen.outcomes)
        failure = Failure(
            line=line,
            exit_code=error.exit_code,
            detail=tuple(readable_text(detail)) if detail else (),
            image_name=self.seen.image,
            tested=tested,
            outputs={one.test.name: "\n".join(readable_text(one.output)) for one in self.seen.outcomes},
            timings=self.timings,
        )
        try:
            write_file(self.output / FAILURE_JSON, to_json(failure))
        except HostError as another:
            self.progress.warn(another.line())

    def close(self) -> None:
        """Save the consoles and end all that this build still has open. Raises nothing but an interrupt."""
        self._save_consoles()
        for outcome in self._end(KINDS):
            if outcome.error:
                self.progress.warn(
                    f"{outcome.entry} may still exist: {outcome.error.line()} "
                    f"Run 'jenkins-ami cleanup {self.ledger.path}'."
                )

    # The way to an image

    def _build(self, plan: Plan, found: Recorded | None) -> BuildResult:
        """The steps with which resources come and go; those that are done already only look."""
        made, ended, user_data = self._image(plan, found)
        with self.step("terminate", "Terminate"):
            self._end_or_raise((SPOT, INSTANCE, OBJECT))
        tested: tuple[TestRecord, ...] = ()
        if self.options.test:
            tested = self._test(plan, made)
        inputs = reuse.input_digest(self.manifest, plan.base, self.wanted)
        result = self._result(made, plan.base, inputs=inputs, ended=ended, user_data=user_data, tested=tested)
        self.ledger.fact(finish.RESULT, image=made.image_id, snapshots=list(made.snapshot_ids), input=inputs)
        self._write(result)
        self.ledger.keep(self.identity)
        self._mark(next(scope for scope in self.ledger.scopes if scope.build == self.identity))
        return result

    def _image(self, plan: Plan, found: Recorded | None) -> tuple[Made, Ended | None, bytes]:
        images = ImageMaker(self.cloud, self.ledger, plan, self.clock)
        pending = resume.image_entry(self.ledger, self.identity) if found else None
        if pending is not None:
            with self.step("image", "Image of before") as step:
                made = images.go_on(pending, step)
                step.done(f"{made.image_id} {made.name}" if made else "there is none")
            if made:
                return made, None, b""
        if found:
            self._end_or_raise((IMAGE, SNAPSHOT))  # of an image that was given up
        running = resume.running_instance(self.cloud, self.ledger, self.identity, self.clock) if found else None
        user_data = self._upload(plan.place) if plan.place else plan.user_data  # one taken away needs it once more
        ended = self._prove(plan, user_data, running, found)
        if running == ended.launched and plan.place:
            user_data = b""  # what it was launched with had another URL in it
        with self.step("image", "Image") as step:
            made = images.make(ended.launched.instance_id, step)
            step.done(f"{made.image_id} {made.name}")
        return made, ended, user_data

    def _upload(self, place: storage.Place) -> bytes:
        overlay = self.manifest.overlay
        with self.step("upload", f"Upload the overlay to s3://{place.bucket}", total=overlay.size) as step:
            pace = self.environment.pace
            if self.environment.name == LOCAL:
                storage.check_bucket(self.cloud, place)  # which makes it
            key = storage.object_key(place, overlay.sha256, self.identity, overlay.file)
            if overlay.access == "profile":
                url = storage.object_url(self.cloud, place, key)
            else:
                url = storage.presign(self.cloud, place, key, int(self.timeout) + _URL_MARGIN)
            user_data = storage.fill(self.ami.userdata, url)
            entry = self.ledger.intent(OBJECT, f"{place.bucket}/{key}")

            def send() -> bool:
                sent = 0

                def on_bytes(count: int) -> None:
                    nonlocal sent
                    sent += count
                    step.advance(sent)

                storage.upload(self.cloud, place, key, self.ami.overlay_file, on_bytes)
                return True

            insist(send, pace=pace, clock=self.clock)
            self.ledger.created(entry, f"s3://{place.bucket}/{key}")
            step.done(size(overlay.size))
        return user_data

    def _prove(self, plan: Plan, user_data: bytes, running: Launched | None, found: Recorded | None) -> Ended:
        """An instance that has proved its success.

        :raises InstanceTimeout: and :class:`InstanceFailure`: it has not
        """
        nonce, lag = self.manifest.nonce, self.environment.pace.console_lag

        def decide(seen: Observation) -> Decision:
            return judge(seen, timeout=self.timeout, lag=lag, require_marker=self.options.require_marker)

        name = request.image_name(self.manifest, plan.number)
        errand = Errand(
            kind="build",
            key=self.identity,
            user_data=user_data,
            tagged=request.instance_tags(plan.tagged, name, plan.number),
            nonce=nonce,
            timeout=self.timeout,
            decide=decide,
        )
        attempts = self.consoles[CONSOLE_LOG] = self._attempts(plan)
        ended = attempts.run(errand, running=running, elapsed=found.elapsed if found and running else 0.0)
        verdict, decision = markers.parse(ended.console.raw, nonce), ended.decision
        if decision is None or decision.kind == "timeout":
            at = f", at {verdict.steps[-1].strip()}" if verdict.steps else ""
            raise InstanceTimeout(
                (decision.why if decision else f"the instance did not stop within {duration(self.timeout)}") + at,
                detail=ended.console.tail(),
                hint="Look at console.log; 'timeouts: instance:' in ami.yaml and --timeout give it more seconds",
            )
        if decision.kind == "failure":
            raise failure(decision.why, verdict, self.manifest, ended.console.tail())
        if verdict.state != markers.OK:
            self.progress.warn(
                "The instance powered itself off without proving success, which --no-require-marker allows"
            )
        return ended

    def _test(self, plan: Plan, made: Made) -> tuple[TestRecord, ...]:
        test_plan = first_boot.plan_of(self.cloud, plan, made)
        attempts = self.consoles[TEST_CONSOLE_LOG] = self._attempts(test_plan)
        tested = first_boot.first_boot(attempts, test_plan, made, self.seen)
        with self.step("test", "Terminate the test instance") as step:
            self._end_or_raise((SPOT, INSTANCE))
            passed = "1 test passed" if len(tested) == 1 else f"{len(tested)} tests passed"
            step.done(passed if tested else "it boots; the source has no tests")
        return tested

    def _attempts(self, plan: Plan) -> Attempts:
        return Attempts(self.cloud, self.ledger, plan, self.progress, self.clock, self.step, self._end_or_raise)

    # Of earlier builds

    def _planned_before(self, found: Recorded, account: str) -> Plan:
        """The plan of the build that is gone on with."""
        scope = Scope.of(self.environment, found.scope.build, account)
        if found.scope.account != account or found.scope.region != self.environment.region:
            raise InputError(
                f"that build runs in {found.scope.region} of account {found.scope.account}",
                where=self.ledger.path,
                hint=f"Name its environment, '{found.scope.environment}'",
            )
        self.identity = found.scope.build
        self.ledger.resume(scope)
        self.progress.info(f"Going on with build {self.identity[:8]}, begun {duration(found.elapsed)} ago")
        reference = Reference("ami", found.base)
        with self.step("base", f"Base image {found.base}") as step:
            base = self.resolve(reference)
            step.done(base.name)
        return self.plan(self.identity, base, found.number, self.place())

    def _finished(self, found: Recorded) -> BuildResult:
        """A build that had succeeded when it was cut off."""
        result = read_build_result(self.output)
        self.progress.info(f"That build is complete: {result.image_name}")
        if found.scope in finish.unmarked(self.ledger):
            self._mark(found.scope)
        return result

    def _end_leftovers(self, but: str | None) -> None:
        left = [entry for entry in self.ledger.open_entries() if entry.scope.build != but]
        if left:
            self.progress.info("An earlier build in this folder was cut off; what it left is ended first")
            for outcome in cleanup.end_all(self.ledger, left, self._cloud_for, self.progress, clock=self.clock):
                if outcome.error:
                    raise outcome.error

    def _find(self, inputs: str) -> Made | None:
        with self.step("reuse", "Image of the same inputs") as step:
            found = insist(
                lambda: (reuse.find(self.cloud, self.manifest, inputs),), pace=self.environment.pace, clock=self.clock
            )[0]
            step.done(f"{found.image_id} {found.name} is reused, nothing is launched" if found else "none")
        return found

    # The result

    def _result(
        self,
        made: Made,
        base: Base,
        *,
        inputs: str,
        ended: Ended | None = None,
        user_data: bytes = b"",
        tested: tuple[TestRecord, ...] = (),
        reused: bool = False,
    ) -> BuildResult:
        candidate = ended.launched.candidate if ended else None
        proved = ended is None or markers.parse(ended.console.raw, self.manifest.nonce).state == markers.OK
        return BuildResult(
            name=self.manifest.name,
            version=self.manifest.version,
            build=made.number,
            image_name=made.name,
            images={self.environment.region: ImageRecord(made.image_id, made.snapshot_ids, made.kms_key)},
            base=base.image_id,
            environment=self.environment.name,
            region=self.environment.region,
            instance_id=ended.launched.instance_id if ended else "",
            instance_type=candidate.instance_type if candidate else "",
            verdict=markers.OK if proved else UNPROVED,
            userdata_sha256=hashlib.sha256(user_data).hexdigest() if user_data else "",
            digest=self.manifest.digest,
            timings=self.timings,
            tests=self.manifest.tests,
            reused=reused,
            created=made.created,
            base_asked=self.manifest.base,
            base_name=base.name,
            payload=request.payload_digest(self.manifest),
            input=inputs,
            commit=self.manifest.commit,
            build_url=build_url(),
            spot=bool(candidate and candidate.spot),
            subnet=candidate.subnet if candidate else None,
            attempts=ended.attempts if ended else 0,
            image=self.manifest.image,
            tested=tested,
        )

    def _write(self, result: BuildResult) -> BuildResult:
        image = result.images[result.region]
        write_file(self.output / AMI_ENV, env_text({"AMINAME": result.image_name, "AMIID": image.image_id}))
        write_file(self.output / AMI_JSON, to_json(result))
        return result

    def _mark(self, scope: Scope) -> None:
        """Without the mark later builds cannot use the image, and ``gc`` would take it for a leftover.

        :raises CloudError: refused; the image is there all the same, and its result
        """
        try:
            finish.finish_build(self.cloud, self.ledger, scope, self.progress, clock=self.clock)
        except CloudError as error:
            raise CloudError(
                f"the image is made, but cannot be marked as finished: {error.what}",
                code=error.code,
                operation=error.operation,
                where=error.where,
                hint=f"It stays. Run 'jenkins-ami build --resume {self.ledger.path}' when that is mended",
            ) from error

    # What steps share

    def _cloud_for(self, scope: Scope) -> Cloud:
        """The API where an entry was made: ours, for a local cloud that came back at another port as well."""
        own = Scope.of(self.environment, scope.build, scope.account)
        if scope == own:
            return self.cloud
        if scope.state is not None and scope.state == own.state:
            return self.cloud_in(scope.region)
        return self.stack.enter_context(Cloud(scope.as_environment()))

    def _end(self, kinds: Iterable[str], patience: float | None = _CLOSING) -> list[cleanup.Outcome]:
        entries = [entry for entry in self.ledger.open_entries(kinds) if entry.scope.build == self.identity]
        return cleanup.end_all(
            self.ledger, entries, self._cloud_for, self.progress, patience=patience, clock=self.clock
        )

    def _end_or_raise(self, kinds: Iterable[str]) -> None:
        for outcome in self._end(kinds, patience=None):
            if outcome.error:
                raise outcome.error

    def _save_consoles(self) -> None:
        for name, attempts in self.consoles.items():
            console = attempts.console
            if console is None:
                continue
            try:
                if not attempts.proved:  # there may be more to read by now
                    console.read()
            except CloudError as error:
                self.progress.detail(f"the console could not be read once more: {error.line()}")
            try:
                write_file(self.output / name, attempts.console_text() or "")
            except AmiError as error:
                self.progress.warn(error.line())
