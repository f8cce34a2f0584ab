"""The plan: all that a build decides before a cent is spent. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..artifacts import Manifest
from ..cloud import storage
from ..cloud.environments import Environment
from ..cloud.wanted import Wanted
from .base import Base


@dataclass(frozen=True)
class Candidate:
    """One way to launch the instance. Without a subnet it is the default VPC's."""

    instance_type: str
    subnet: str | None = None
    spot: bool = False

    def __str__(self) -> str:
        return f"{self.instance_type}{' spot' if self.spot else ''}{f' in {self.subnet}' if self.subnet else ''}"


@dataclass(frozen=True)
class Plan:
    """What will be asked for.

    :ivar number: the build number, unless another build takes it meanwhile
    :ivar identity: of the build, the value of the tag ``jenkins-ami:build`` on all that it makes
    :ivar tagged: tags of instance, volumes, image and snapshots; each has some more of its own
    :ivar candidates: in the order in which they are tried
    :ivar user_data: as it will be launched, but for the URL of an overlay in storage
    :ivar place: where such an overlay goes
    """

    manifest: Manifest
    environment: Environment
    wanted: Wanted
    base: Base
    number: int
    identity: str
    tagged: dict[str, str]
    candidates: tuple[Candidate, ...]
    user_data: bytes
    place: storage.Place | None = None


def candidates(manifest: Manifest, environment: Environment) -> tuple[Candidate, ...]:
    """Each type in each subnet; where spare capacity is wanted, all of them as such first."""
    types = environment.instance_types or manifest.instance_types
    subnets = environment.subnets or (None,)
    spot = environment.spot if environment.spot is not None else manifest.spot
    return tuple(
        Candidate(instance_type, subnet, way)
        for way in ((True, False) if spot else (False,))
        for instance_type in types
        for subnet in subnets
    )
