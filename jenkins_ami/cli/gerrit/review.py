"""Post what 'verify' found in Gerrit: a vote, what changes on the machine, and findings at their lines.

Nothing of it twice: what the same account has said is not repeated, and what is found no longer is resolved. The
change is found by the commit. Signs in with $GERRIT_USER and $GERRIT_TOKEN (an HTTP password or token), or as netrc
says. A change that is closed gets nothing, and that is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ...credentials import Credentials, lookup
from ...errors import InputError, Location, ServerError, UsageError
from ...gerrit.client import Gerrit
from ...gerrit.find import Hints
from ...gerrit.publish import Published, publish
from ...gerrit.text import plural
from ...progress import Progress
from ...verification import BROKEN, Verification, read_verification
from .. import Result

URL, USER, TOKEN = "GERRIT_URL", "GERRIT_USER", "GERRIT_TOKEN"
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verification", metavar="VERIFICATION", type=Path, nargs="?", help="verification.json, or its folder"
    )
    parser.add_argument("--url", metavar="URL", help=f"of Gerrit (default: ${URL})")
    parser.add_argument(
        "--change",
        metavar="ID",
        default="",
        help="if several have the commit: NUMBER, PROJECT~NUMBER, or I... "
        "(default: $GERRIT_PROJECT and $GERRIT_CHANGE_NUMBER if they fit)",
    )
    parser.add_argument("--label", metavar="NAME", default="Verified", help="to vote on (default %(default)s)")
    parser.add_argument("--link", metavar="URL", default="", help="to the build, for the message")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=_seconds, default=20.0, help="for Gerrit to know the commit (default 20)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be posted, as JSON")
    broken = parser.add_argument_group("without a verification")
    broken.add_argument("--commit", metavar="SHA", default="", help="that was to be verified")
    broken.add_argument("--broken", metavar="REASON", default="", help="say that it could not be; no vote")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    verification = _verification(args)
    url = _server(args.url or os.environ.get(URL, ""))
    if not _LABEL.fullmatch(args.label):
        raise UsageError(f"--label: '{args.label}' is no name of a label", hint="Letters, digits and '-' make one")
    link = _link(args.link)
    gerrit = Gerrit(url, _credentials(url, os.environ, progress))
    hints = Hints(args.change, os.environ.get("GERRIT_PROJECT", ""), os.environ.get("GERRIT_CHANGE_NUMBER", ""))
    done = publish(
        gerrit,
        verification,
        hints,
        label=args.label,
        link=link,
        wait=args.wait,
        post=not args.dry_run,
        progress=progress,
    )
    data = _data(done, posted=not args.dry_run)
    lines = [json.dumps(data, indent=2, sort_keys=True)] if args.dry_run else [_line(done, args.label)]
    if done.problem:
        problem = ServerError(done.problem, where=url, hint=done.right).line()
        return Result(data, lines, ServerError.exit_code, errors=[problem])
    return Result(data, lines)


def _seconds(text: str) -> float:
    """:raises ArgumentTypeError: it is none that makes sense"""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not 0 to 3600 seconds")
    return value


def _verification(args: argparse.Namespace) -> Verification:
    if args.commit and not _COMMIT.fullmatch(args.commit):
        raise UsageError(f"--commit: '{args.commit}' is no full commit", hint="'git rev-parse HEAD' prints one")
    if args.verification is None:
        if not (args.commit and args.broken):
            raise UsageError(
                "there is nothing to say", hint="Give the verification, or --commit and --broken when there is none"
            )
        return Verification(args.commit, BROKEN, reason=args.broken)
    if args.broken:
        raise UsageError("--broken is for when there is no verification", hint="Leave out one of them")
    verification = read_verification(args.verification)
    if not _COMMIT.fullmatch(verification.commit):
        raise InputError(
            "it names no commit", where=args.verification, hint="'jenkins-ami verify' in a Git work tree writes it"
        )
    if args.commit and args.commit != verification.commit:
        raise UsageError(
            f"--commit is {args.commit}, the verification is of {verification.commit}", hint="Verify that commit"
        )
    return verification


def _server(url: str) -> str:
    """:raises UsageError: it is no URL of a server; one with a secret in it is not printed"""
    if not url:
        raise UsageError("no Gerrit is named", hint=f"Give --url, or set {URL}")
    parts = _parts(url)
    if parts is None:
        raise UsageError("--url is no http or https URL", hint="It is what stands before '/c/' in a change's URL")
    if parts[0]:
        raise UsageError("--url has a user in it", hint=f"Set {USER} and {TOKEN}, or use netrc")
    if parts[1]:
        raise UsageError("--url has a query or a fragment", hint="It is what stands before '/c/' in a change's URL")
    return url.rstrip("/")


def _link(url: str) -> str:
    """:raises UsageError: it is nothing to publish"""
    if url:
        parts = _parts(url)
        if parts is None:
            raise UsageError("--link is no http or https URL")
        if parts[0]:
            raise UsageError("--link has a user in it", hint="All who can read the change would see it")
    return url


def _parts(url: str) -> tuple[bool, bool] | None:
    """Whether a URL has a user, and a query or fragment; ``None``: it is none of HTTP."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    if not usable or not url.isascii() or not url.isprintable() or re.search(r"[\s<>\"`\\]", url):
        return None
    return "@" in parts.netloc, bool(parts.query or parts.fragment)


def _credentials(url: str, environ: Mapping[str, str], progress: Progress) -> Credentials:
    """:raises InputError: there are none, or they cannot be read"""
    named = environ.get(USER) or environ.get(TOKEN)
    auth = {"user_env": USER, "secret_env": TOKEN} if named else {}
    found = lookup(auth, url, environ, Location("environment"))
    if found is None or not found.user:
        raise InputError(
            "there is nobody to sign in as", where=url, hint=f"Set {USER} and {TOKEN}, or add the host to netrc"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        progress.warn(f"{parts.hostname} is reached without TLS: who listens on the way can read the password")
    return found


def _line(done: Published, label: str) -> str:
    where = f"change {done.change.number} ({done.change.project}, {done.change.branch}), patch set {done.patch_set}"
    if done.closed:
        return f"{where}: nothing posted, it is {done.closed}"
    review, said = done.review.input, []
    if review is not None:
        if label in review.labels:
            said.append(f"{label} {review.labels[label]:+d}")
        if review.message:
            said.append("a message")
        if review.count:
            said.append(plural(review.count, "comment"))
    if resolved := sum(reply.count for reply in done.review.replies.values()):
        said.append(f"{resolved} resolved")
    newest = f" (outdated, the newest is {done.change.newest})" if done.outdated else ""
    return f"{where}{newest}: {', '.join(said) or 'nothing new to say'}"


def _data(done: Published, *, posted: bool) -> dict[str, object]:
    review = done.review
    return {
        "project": done.change.project,
        "branch": done.change.branch,
        "change": done.change.number,
        "patch_set": done.patch_set,
        "outdated": done.outdated,
        "closed": done.closed,
        "posted": posted and not done.closed and (review.input is not None or bool(review.replies)),
        "review": review.input.as_dict() if review.input else None,
        "replies": {str(number): one.as_dict() for number, one in review.replies.items()},
        "problem": done.problem,
    }
