"""The preflight: all that would make a build fail, found before a cent is spent, and told at once.

Everything is looked at in parallel, so it takes the time of a call or two; what is told has a fixed order. EC2 itself
has the last word: each way to launch is asked for as a dry run, which checks the rights as well.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ..cloud import storage
from ..cloud.session import Cloud, lacks_right
from ..cloud.waiting import CLOCK, Clock, stoppable
from ..errors import AmiError, CloudError, StorageError
from ..findings import Problems
from ..progress import Progress
from . import checks, request
from .checks import Api, Found
from .plan import Candidate, Plan

_AT_ONCE = 8
"""Calls under way at the same time."""
_NOBODY = frozenset(
    {"AuthFailure", "EndpointUnreachable", "ExpiredToken", "InvalidClientTokenId", "NoAnswer", "NoCredentials"}
)
"""Error codes that every call gives when one does: told once."""
_RIGHT = re.compile(r"not authorized to perform: ([a-z0-9-]+:\w+)(?: on resource: (\S+))?")


@dataclass(frozen=True)
class Checked:
    """What came out of it.

    :ivar lines: what was checked, for people
    :ivar candidates: the ways to launch that would be granted, in their order
    """

    lines: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def preflight(
    cloud: Cloud,
    plan: Plan,
    *,
    cloud_for_region: Callable[[str], Cloud],
    progress: Progress | None = None,
    clock: Clock = CLOCK,
) -> Checked:
    """Look at everything that the plan relies on.

    :param cloud_for_region: the API of a region that the image is copied to
    :param progress: hears warnings, and what the builder has no right to look at
    :raises Problems: whose ``problems`` are all that is wrong; a single one is raised as it is
    """
    progress = progress or Progress()
    stop = threading.Event()
    clock = stoppable(clock, stop)
    home = Api(cloud, clock)
    looks = _looks(home, plan, lambda region: Api(cloud_for_region(region), clock))
    user_data, of_user_data = _user_data(cloud, plan)
    with ThreadPoolExecutor(_AT_ONCE, "preflight") as pool:
        try:
            types = pool.submit(checks.check_types, home, plan)
            others = [pool.submit(look) for look in looks]
            launches = {each: pool.submit(dry_run, home, plan, each, user_data) for each in plan.candidates}
            of_types, against = types.result()
            found = [checks.check_settings(plan), of_user_data, *(look.result() for look in others), of_types]
            refused = {each: error for each, launch in launches.items() if (error := launch.result())}
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    granted = tuple(each for each in plan.candidates if each not in refused and each.instance_type not in against)
    found.append(_launches(plan, granted, refused, against, found))
    for text in _once(text for each in found for text in each.warnings):
        progress.warn(text)
    for text in _once(text for each in found for text in each.notes):
        progress.info(text)
    _raise(found)
    return Checked(tuple(each.told for each in found if not each.notes), granted)


def _user_data(cloud: Cloud, plan: Plan) -> tuple[bytes, Found]:
    """The user-data as it will be, with a URL as long as the one that the overlay will have; empty if it is refused."""
    user_data = plan.user_data
    try:
        if plan.place:
            overlay = plan.manifest.overlay
            key = storage.object_key(plan.place, overlay.sha256, plan.identity, overlay.file)
            if overlay.access == "profile":
                url = storage.object_url(cloud, plan.place, key)
            else:
                url = storage.presign(cloud, plan.place, key, storage.MAX_EXPIRY)
            user_data = storage.fill(user_data, url)
    except StorageError as error:
        return b"", Found(problems=[error])
    found = checks.check_user_data(user_data)
    return b"" if found.problems else user_data, found


def _looks(home: Api, plan: Plan, api_for_region: Callable[[str], Api]) -> list[Callable[[], Found]]:
    """The checks that this plan needs, in the order in which they are told.

    Clients are made here: boto3 can use them in several threads, and not make them there.
    """
    environment, cloud = plan.environment, home.cloud
    apis = {region: api_for_region(region) for region in plan.wanted.copies} | {environment.region: home}
    _ = cloud.ec2
    looks: list[Callable[[], Found]] = [
        partial(checks.check_name, home, plan),
        partial(checks.check_network, home, plan),
    ]
    if environment.instance_profile:
        _ = cloud.iam
        looks.append(partial(checks.check_profile, home, plan))
    for region, key in checks.keys_to_look_at(plan).items():
        _ = apis[region].cloud.kms
        looks.append(partial(checks.check_key, apis[region], plan, key))
    if plan.place:
        _ = cloud.s3
        looks.append(partial(checks.check_bucket, home, plan))
    if plan.wanted.copies:
        looks.append(partial(checks.check_regions, home, plan))
    for region, name in checks.templates_to_look_at(plan).items():
        _ = apis[region].cloud.ec2
        looks.append(partial(checks.check_template, apis[region], plan, name))
    return looks


# The launch


def dry_run(api: Api, plan: Plan, candidate: Candidate, user_data: bytes) -> CloudError | None:
    """Ask for a launch that does not take place.

    :returns: why it would be refused
    """
    name = request.image_name(plan.manifest, plan.number)
    tagged = request.instance_tags(plan.tagged, name, plan.number)
    wanted = request.run_instances(plan, candidate, token="", user_data=user_data, tagged=tagged)
    del wanted["ClientToken"]  # a dry run must not use up that of the launch
    try:
        answer = api.ask(lambda: api.cloud.ec2.run_instances(**wanted, DryRun=True))
    except CloudError as error:
        if error.code == "DryRunOperation":
            return None
        return _in_words(error) if lacks_right(error) else error
    launched = [instance["InstanceId"] for instance in answer["Instances"]]
    with api.cloud.calls():
        api.cloud.ec2.terminate_instances(InstanceIds=launched)
    return CloudError(
        f"the endpoint takes a dry run for a launch; {', '.join(launched)} was terminated at once",
        code="NoDryRun",
        operation="RunInstances",
        hint="Nothing can be checked against such an endpoint",
    )


def _in_words(error: CloudError) -> CloudError:
    """A refusal that names the right that is missing, as far as EC2 does."""
    if match := _RIGHT.search(error.what):
        what = f"the builder lacks the right {match[1]}{f' on {match[2]}' if match[2] else ''}"
    else:
        what = "the builder may not launch: of ec2:RunInstances, ec2:CreateTags and iam:PassRole it lacks one"
    return CloudError(
        f"{what} [{error.code}]",
        code=error.code,
        operation=error.operation,
        where=error.where,
        hint="'jenkins-ami iam-policy' prints all that it needs",
    )


def _launches(
    plan: Plan,
    granted: Sequence[Candidate],
    refused: Mapping[Candidate, CloudError],
    against: Mapping[str, str],
    others: Sequence[Found],
) -> Found:
    """What the dry runs say that no other check has said. One way that is refused is no problem while another is not.

    :param against: why a type does not do, by its name
    """
    found = Found(f"{len(granted)} of {len(plan.candidates)} ways to launch, as dry runs")
    new = {each: error for each, error in refused.items() if each.instance_type not in against}
    if granted:
        found.warnings = [f"{each} is left out: {error.line()}" for each, error in new.items()]
    else:
        told = {code for each in others if each.problems for code in each.covers}
        found.problems = [error for error in new.values() if error.code not in told]
    return found


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _raise(found: Sequence[Found]) -> None:
    problems: dict[str, AmiError] = {}
    for each in found:
        for problem in each.problems:
            code = problem.code if isinstance(problem, CloudError) else ""
            problems.setdefault(code if code in _NOBODY else problem.line(), problem)
    if len(problems) == 1:
        raise next(iter(problems.values()))
    if problems:
        raise Problems(problems.values())
