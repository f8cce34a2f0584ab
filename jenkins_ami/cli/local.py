"""The local cloud as an environment to build in, with a base image from scratch in it when one is needed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..cloud import environments
from ..cloud.environments import Environment
from ..errors import HostError
from ..paths import cache_dir
from ..progress import Progress


@contextlib.contextmanager
def local_environment(state: Path, progress: Progress, *, base: str) -> Iterator[Environment]:
    """The local cloud that runs on ``state``, or one that runs as long as this context.

    :param base: the manifest's; for ``scratch`` the standard base image is made if the store has none yet
    :raises HostError: something on this machine is missing
    """
    from ..localcloud.client import running_cloud

    if base == "scratch" or base.startswith("scratch:"):
        _provide_scratch(state, progress, base.partition(":")[2])
    with running_cloud(state, progress) as cloud:
        yield environments.local(
            cloud.endpoint, cloud.instance_s3_endpoint, cloud.region, cloud.state, cloud.instance_profile
        )


def _provide_scratch(state: Path, progress: Progress, digest: str) -> None:
    """Make sure that the standard base image is in the store; two builds at once make it once."""
    from ..localcloud.store import BASE_TAG, ImageStore
    from ..scratch.image import build_image, recipe_digest
    from ..scratch.spec import load_spec

    spec = load_spec(None)
    wanted = recipe_digest(spec)
    if digest not in ("", wanted):
        return  # another spec's: somebody has imported it, or the build will say that it is not there
    tag = {BASE_TAG: f"scratch/{wanted}"}
    store = ImageStore(state)
    if store.find(tag):
        return
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (state / "scratch.lock").open("w")
    except OSError as error:
        raise HostError(f"the state folder cannot be written: {error.strerror}", where=state) from error
    with lock:
        _wait_for(lock.fileno(), progress)
        if store.find(tag):
            return
        with progress.step("Base image from scratch") as step:
            folder = state / "scratch.tmp"  # ours while we hold the lock; a killed build may have left it
            shutil.rmtree(folder, ignore_errors=True)
            try:
                folder.mkdir()
                disk = folder / "disk.raw"
                image = build_image(spec, disk, cache=cache_dir(), progress=progress)
                record = store.add(
                    disk,
                    name=f"{spec.name}-{wanted[:12]}",
                    description=f"Debian {image.suite} from scratch",
                    tags=tag,
                )
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            step.done(record.id)


def _wait_for(lock: int, progress: Progress) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with progress.step("Another build makes the base image"):
            fcntl.flock(lock, fcntl.LOCK_EX)
