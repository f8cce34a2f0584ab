"""Who may launch an image, and read the snapshots behind it.

To launch it they need the image only: EC2 lets the instance read the snapshots. To copy it they need the snapshots as
well, and those can be shared with accounts only (EC2 User Guide, "Share an AMI with organizations and organizational
units"; EC2 API reference, ModifySnapshotAttribute). What is encrypted needs its key in both cases, and who may use that
is said by its policy, which is not ours to change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from ..artifacts import Sharing
from ..cloud.pages import chunks
from ..cloud.session import Cloud
from ..cloud.waiting import Clock
from ..errors import CloudError
from .asking import ask
from .described import Described

_AT_ONCE = 100
"""Of one call; a snapshot takes 500 (EC2 API reference, ModifySnapshotAttribute)."""


def share(cloud: Cloud, image: Described, wanted: Sharing, account: str, clock: Clock) -> Sharing:
    """Let others launch an image, and accounts read its snapshots. Nobody's permission is taken away.

    :param account: the image's own, which needs no permission
    :returns: whom it was not shared with before
    :raises CloudError: refused
    """
    current = permissions(cloud, image.image_id, clock)
    new = Sharing(
        tuple(each for each in wanted.accounts if each not in (*current.accounts, account)),
        tuple(each for each in wanted.organizations if each not in current.organizations),
        tuple(each for each in wanted.units if each not in current.units),
    )
    if new:
        _check_key(cloud, image)
    accounts = [each for each in wanted.accounts if each != account]
    with _explained(image):
        # Snapshots first: whoever sees the image finds it whole.
        for snapshot in image.snapshot_ids if accounts else ():
            known = _readers(cloud, snapshot, clock)
            _let_read(cloud, snapshot, [each for each in accounts if each not in known], "add", clock)
        _let_launch(cloud, image.image_id, new, "Add", clock)
    return new


def unshare(cloud: Cloud, image: Described, wanted: Sharing, clock: Clock) -> Sharing:
    """Take these permissions away again, from the image and its snapshots.

    :returns: whom it was shared with before
    :raises CloudError: refused
    """
    current = permissions(cloud, image.image_id, clock)
    old = Sharing(
        tuple(each for each in wanted.accounts if each in current.accounts),
        tuple(each for each in wanted.organizations if each in current.organizations),
        tuple(each for each in wanted.units if each in current.units),
    )
    _let_launch(cloud, image.image_id, old, "Remove", clock)
    for snapshot in image.snapshot_ids if wanted.accounts else ():
        known = _readers(cloud, snapshot, clock)
        _let_read(cloud, snapshot, [each for each in wanted.accounts if each in known], "remove", clock)
    return old


def permissions(cloud: Cloud, image_id: str, clock: Clock) -> Sharing:
    """Who may launch an image now.

    :raises CloudError: refused
    """
    answer = ask(
        cloud, lambda: cloud.ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission"), clock
    )
    listed = answer.get("LaunchPermissions", [])
    return Sharing(
        tuple(each["UserId"] for each in listed if "UserId" in each),
        tuple(each["OrganizationArn"] for each in listed if "OrganizationArn" in each),
        tuple(each["OrganizationalUnitArn"] for each in listed if "OrganizationalUnitArn" in each),
    )


def _let_launch(cloud: Cloud, image_id: str, whom: Sharing, change: str, clock: Clock) -> None:
    listed = [
        *({"UserId": each} for each in whom.accounts),
        *({"OrganizationArn": each} for each in whom.organizations),
        *({"OrganizationalUnitArn": each} for each in whom.units),
    ]
    for some in chunks(listed, _AT_ONCE):
        wanted: Any = {change: some}
        ask(cloud, partial(cloud.ec2.modify_image_attribute, ImageId=image_id, LaunchPermission=wanted), clock)


def _readers(cloud: Cloud, snapshot_id: str, clock: Clock) -> list[str]:
    """The accounts that may read a snapshot now."""
    call = partial(cloud.ec2.describe_snapshot_attribute, SnapshotId=snapshot_id, Attribute="createVolumePermission")
    return [each.get("UserId", "") for each in ask(cloud, call, clock).get("CreateVolumePermissions", [])]


def _let_read(
    cloud: Cloud, snapshot_id: str, accounts: list[str], change: Literal["add", "remove"], clock: Clock
) -> None:
    for some in chunks(accounts, _AT_ONCE):
        call = partial(
            cloud.ec2.modify_snapshot_attribute,
            SnapshotId=snapshot_id,
            Attribute="createVolumePermission",
            OperationType=change,
            UserIds=some,
        )
        ask(cloud, call, clock)


_DEFAULT_KEY = "Set a 'kms_key' of your own, and build or copy the image with that"


def _check_key(cloud: Cloud, image: Described) -> None:
    """EC2 would refuse as well, but not say why. Without the right to ask KMS it is left to that.

    :raises CloudError: the image is encrypted with the account's default key
    """
    for key in {snapshot.kms_key for snapshot in image.snapshots if snapshot.kms_key}:
        try:
            with cloud.calls():
                manager = cloud.kms.describe_key(KeyId=key)["KeyMetadata"].get("KeyManager")
        except CloudError:
            continue
        if manager == "AWS":
            raise CloudError(
                f"{image.image_id} is encrypted with the account's default key, which nobody else may use",
                code="DefaultKey",
                hint=_DEFAULT_KEY,
            )


@contextlib.contextmanager
def _explained(image: Described) -> Iterator[None]:
    """EC2's refusals do not say what to do about an image that is encrypted with a key that cannot be shared."""
    try:
        yield
    except CloudError as error:
        if image.encrypted and error.hint is None:
            error.hint = f"An image that is encrypted with the account's default key cannot be shared. {_DEFAULT_KEY}"
        raise
