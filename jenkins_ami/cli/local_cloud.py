"""An EC2 and S3 endpoint on loopback whose instances are real machines (QEMU).

  jenkins-ami local-cloud                              run it in the foreground until Ctrl-C
  jenkins-ami local-cloud images                       list its images
  jenkins-ami local-cloud import DISK --name NAME      make an image of a disk (raw, qcow2 ...)
  jenkins-ami local-cloud remove AMI ...               remove images and their snapshots

Images live in the state folder; the last three work with and without a running server.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..errors import UsageError
from ..localcloud.store import REGION, ImageStore
from ..paths import state_dir
from ..progress import Progress
from . import Result


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="run", choices=["run", "images", "import", "remove"])
    parser.add_argument("what", nargs="*", metavar="DISK|AMI", help="of import: a disk; of remove: image ids")
    parser.add_argument("--state", type=Path, metavar="DIR", help=f"where images are kept (default: {state_dir()})")
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1; 0 takes a free one (default: 5000)")
    parser.add_argument("--until-unused", action="store_true", help=argparse.SUPPRESS)
    group = parser.add_argument_group("import")
    group.add_argument("--name", help="the image's name")
    group.add_argument("--description", default="", metavar="TEXT")
    group.add_argument("--tag", type=_tag, action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    group.add_argument("--region", default=REGION, help=f"(default: {REGION})")
    group.add_argument("--root-device", default="/dev/xvda", metavar="DEVICE", help="(default: /dev/xvda)")
    group.add_argument("--boot-mode", default="", choices=["legacy-bios", "uefi", "uefi-preferred"])


def run(args: argparse.Namespace, progress: Progress) -> Result:
    state = (args.state or state_dir()).absolute()
    store = ImageStore(state)
    if args.action == "run":
        if args.what:
            raise UsageError(f"run takes no argument, and there is {args.what[0]!r}")
        return _serve(state, args, progress)
    if args.action == "images":
        images = store.images()
        lines = [f"{image.id}  {image.created[:10]}  {image.volume_size:>4} GiB  {image.name}" for image in images]
        return Result({"images": [asdict(image) for image in images]}, lines or ["no images"])
    if args.action == "import":
        if len(args.what) != 1 or not args.name:
            raise UsageError("import takes one disk and --name")
        disk = Path(args.what[0])
        with progress.step(f"Import {disk.name}") as step:
            image = store.add(
                disk,
                name=args.name,
                description=args.description,
                tags=dict(args.tag),
                root_device=args.root_device,
                boot_mode=args.boot_mode,
                region=args.region,
            )
            step.done(image.id)
        return Result(asdict(image), [image.id])
    if not args.what:
        raise UsageError("remove takes the ids of images")
    for image_id in args.what:
        store.delete(image_id)
    return Result({"removed": args.what}, [f"removed {image_id}" for image_id in args.what])


def _serve(state: Path, args: argparse.Namespace, progress: Progress) -> Result:
    from ..localcloud.server import LocalCloudServer

    with LocalCloudServer(state, args.port, progress) as server:
        lines = [
            f"export AWS_ENDPOINT_URL={server.endpoint}",
            "export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
            f"export AWS_DEFAULT_REGION={REGION}",
        ]
        progress.info(f"state folder {state}")
        _say(lines, {"endpoint": server.endpoint, "region": REGION, "state": str(state)}, as_json=args.json)
        server.wait(until_unused=args.until_unused)
    return Result()


def _say(lines: list[str], data: dict[str, object], *, as_json: bool) -> None:
    """On standard output at once: the result of this command is there while it runs."""
    import json
    import sys

    sys.stdout.write(json.dumps(data) + "\n" if as_json else "".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
