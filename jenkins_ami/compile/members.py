"""What lies in ``fs/`` and what it becomes on the instance: names, kinds, modes, owners. Reads no file's content.

Everything that cannot be in an overlay is a finding, all of it at once. Writing the tarball is ``archive``'s business.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import Location
from ..findings import Findings
from ..source.model import AmiSource, OverlayRule

FILE, FOLDER, SYMLINK, HARDLINK = "file", "folder", "symlink", "hardlink"
RULE = "overlay"
"""Under which all of this is found."""

RESERVED = "var/lib/jenkins-ami"
INSTALL = f"{RESERVED}/install.sh"
"""The name under which ``script/install.sh`` travels."""

_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
}
_LOST = {
    "proc": "Set kernel parameters in /etc/sysctl.d",
    "sys": "Write a udev rule or a file for /etc/tmpfiles.d",
    "dev": "Write a udev rule",
    "run": "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d",
    "var/run": "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d",
    "var/lock": "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d",
}
"""Folders whose content is gone after a reboot (hier(7)), and what to do instead; the last two are links into /run."""
_KEEP = ".gitkeep"
"""How Git is made to keep an empty folder; nobody wants it on a machine."""
_KERNELS = ("proc", "sys", "dev", "run")
_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_OPEN = 0o055
_UNREADABLE = "Let the user who compiles read it: chmod u+r"
_CLASS = re.compile(r"\[([!^]?)(\]?[^\]]*)\]")
_LONGEST_OWNER = 31
"""Bytes of a user's or group's name in a tar header, with its NUL (GNU tar manual, "Basic Tar Format")."""


@dataclass(frozen=True, slots=True)
class Member:
    """One name in the tarball.

    :ivar name: relative to ``/``; bytes that are no UTF-8 are surrogates, as :func:`os.fsdecode` makes them
    :ivar kind: :data:`FILE`, :data:`FOLDER`, :data:`SYMLINK` or :data:`HARDLINK`
    :ivar owner, group: a name, or a number as text
    :ivar size: bytes of content; 0 for all but files
    :ivar link: a symlink's target, or the name of the member that a hard link is another name of
    :ivar file: where its content is now
    :ivar shown: its place in the source as the user named it
    """

    name: str
    kind: str
    mode: int
    owner: str
    group: str
    size: int
    link: str
    file: str
    shown: str

    @property
    def path(self) -> Path:
        """:attr:`file` as a path. (To make paths of all members would take longer than all the rest of a scan.)"""
        return Path(self.file)

    @property
    def where(self) -> Location:
        """:attr:`shown` for messages."""
        return Location(Path(self.shown))


class _Entry(NamedTuple):
    key: bytes
    name: str
    kind: int
    bits: int
    size: int
    link: str
    inode: tuple[int, int] | None


def scan(source: AmiSource, root: Path, findings: Findings) -> tuple[Member, ...]:
    """The members of a source's overlay, sorted by name as bytes, and ``script/install.sh`` as the last.

    :param root: the source as the user named it (``source.root`` may be a work copy): findings are placed there
    :param findings: gets all that is refused; as warnings, rules that match nothing and a umask that shows in modes
    """
    scanner = _Scanner(source, root, findings)
    members = scanner.overlay(source.overlay) if source.overlay is not None else []
    scanner.unused()
    if source.install_script is not None and (member := scanner.install(source.install_script)):
        members.append(member)
    return tuple(members)


def glob(pattern: str) -> Callable[[str, bool], bool]:
    """A test of a name and of whether it is a folder's.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders (``a/**`` is all below ``a``, ``**/b`` is ``b``
    anywhere), ``[...]`` is one of some characters; with a ``/`` at its end the pattern is for folders only.
    """
    body = pattern.rstrip("/")
    only_folders = body != pattern
    text = ""
    position = 0
    while position < len(body):
        if body.startswith("**/", position) and (position == 0 or body[position - 1] == "/"):
            text += "(?:[^/]+/)*"
            position += 3
        elif body.startswith("**", position):
            text += ".+" if position + 2 == len(body) else ".*"
            position += 2
        elif body[position] == "*":
            text += "[^/]*"
            position += 1
        elif body[position] == "?":
            text += "[^/]"
            position += 1
        elif match := _CLASS.match(body, position):
            inner = re.escape(match[2]).replace("\\-", "-")
            text += f"(?!/)[{'^' if match[1] else ''}{inner}]"
            position = match.end()
        else:
            text += re.escape(body[position])
            position += 1
    try:
        matches = re.compile(text, re.DOTALL).fullmatch
    except re.error:  # a range like [z-a], which matches nothing in a shell either
        return lambda _name, _is_folder: False
    return lambda name, is_folder: (is_folder or not only_folders) and matches(name) is not None


def _folders_of_this_host(copy: Path, root: Path) -> set[str]:
    """The source, and the work folder around its copy, in all the ways that a link may spell them."""
    folders = [copy, root] if copy == root else [copy, root, copy.parent]
    spelled = [spelling for folder in folders for spelling in (folder.absolute(), folder.resolve())]
    return {os.path.normpath(folder) for folder in spelled} - {"/"}


class _Scanner:
    def __init__(self, source: AmiSource, root: Path, findings: Findings) -> None:
        self.root = root
        self.shown = str(root / "fs")
        self.findings = findings
        settings = source.identity.overlay
        self.rules = [(rule, glob(rule.path)) for rule in settings.rules if self._usable(rule)]
        self.special = {text: glob(text) for text in settings.setuid}
        self.found: set[str] = set()
        self.matched: set[OverlayRule] = set()
        self.on_host = _folders_of_this_host(source.root, root)

    def _usable(self, rule: OverlayRule) -> bool:
        for name in (rule.owner, rule.group):
            if name is not None and len(name) > _LONGEST_OWNER:
                self.findings.error(RULE, f"the name '{name}' is too long for a tarball", rule.where, "Use its number")
                return False
        return True

    def overlay(self, folder: Path) -> list[Member]:
        if folder.stat().st_mode & _OPEN != _OPEN:
            what = "fs is closed to others, as by a umask: what lies in it is like that on the instance"
            hint = "Check the source out with umask 022, or give modes by rules: Git keeps none"
            self.findings.warn(RULE, what, Location(Path(self.shown)), hint)
        entries = sorted(self._walk(str(folder)), key=lambda entry: entry.key)
        first: dict[tuple[int, int], Member] = {}
        members = []
        for entry in entries:
            member = self._member(str(folder), entry, first)
            members.append(member)
            if entry.inode is not None:
                first.setdefault(entry.inode, member)
        return members

    def install(self, script: Path) -> Member | None:
        where = Location(self.root / "script" / "install.sh")
        real = script.resolve()  # a link within the source is followed
        if not os.access(real, os.R_OK):
            self.findings.error(RULE, "cannot be read: Permission denied", where, _UNREADABLE)
            return None
        return Member(INSTALL, FILE, 0o700, "root", "root", real.stat().st_size, "", str(real), str(where.file))

    def unused(self) -> None:
        """Say which rules and globs found nothing to do."""
        hint = "Paths are relative to fs/; * stays in a folder, ** crosses folders"
        for rule, _ in self.rules:
            if rule not in self.matched:
                self.findings.warn(RULE, f"the rule for '{rule.path}' matches nothing in fs/", rule.where, hint)
        hint = 'Git does not keep these bits: give the file a rule with its mode, like "4755"'
        for text in self.special:
            if text not in self.found:
                what = f"'{text}' in overlay.setuid matches no file with a set-uid, set-gid or sticky bit"
                self.findings.warn(RULE, what, Location(self.root / "ami.yaml"), hint)

    def _refuse(self, name: str, what: str, hint: str) -> None:
        self.findings.error(RULE, what, Location(self.root / "fs" / name), hint)

    def _unreadable(self, name: str, error: OSError) -> None:
        self._refuse(name, f"cannot be read: {error.strerror}", _UNREADABLE)

    def _walk(self, top: str) -> Iterator[_Entry]:
        """All entries below ``top``, in no order; what is refused goes to the findings and is left out."""
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(f"{top}/{folder}") as listing:
                    entries = list(listing)
            except OSError as error:
                self._unreadable(folder, error)
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if folder in _LOST and entry.name != _KEEP:
                    what = f"/{name} would be lost: /{folder} is empty when the instance starts"
                    self._refuse(name, what, _LOST[folder])
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                    kind = stat.S_IFMT(status.st_mode)
                    # a Path would lose "./" and "//"
                    link = os.readlink(entry.path) if kind == stat.S_IFLNK else ""  # noqa: PTH115
                except OSError as error:
                    self._unreadable(name, error)
                    continue
                if self._is_left_out(entry, name, status.st_mode, link):
                    continue
                if kind == stat.S_IFDIR:
                    folders.append(name)
                is_file = kind == stat.S_IFREG
                yield _Entry(
                    os.fsencode(name),
                    name,
                    kind,
                    stat.S_IMODE(status.st_mode),
                    status.st_size if is_file else 0,
                    link,
                    (status.st_dev, status.st_ino) if is_file and status.st_nlink > 1 else None,
                )

    def _is_left_out(self, entry: os.DirEntry[str], name: str, mode: int, link: str) -> bool:
        kind = stat.S_IFMT(mode)
        if name == RESERVED:
            self._refuse(name, f"/{name} is used by the build itself", "Choose another place")
            return True
        if kind == stat.S_IFREG and entry.name == _KEEP:
            return True
        if kind != stat.S_IFDIR and name in _KERNELS:
            self._refuse(name, f"/{name} is a folder of the kernel's on the instance", "Remove it")
            return True
        if kind == stat.S_IFREG and mode & _READABLE != _READABLE and not os.access(entry.path, os.R_OK):
            self._refuse(name, "cannot be read: Permission denied", _UNREADABLE)
            return True
        if kind == stat.S_IFLNK:
            return self._is_bad_link(name, link)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            what = f"{_KINDS.get(kind, 'an unknown kind of file')} cannot be in an overlay"
            self._refuse(name, what, "Remove it; what uses it makes it on the instance")
            return True
        return False

    def _is_bad_link(self, name: str, link: str) -> bool:
        if link.startswith("/"):
            flat = os.path.normpath("/" + link.lstrip("/"))
            if any(flat == folder or flat.startswith(f"{folder}/") for folder in self.on_host):
                hint = "Link to where the file is on the instance, or relative to the link"
                self._refuse(name, f"the link points into the source on this machine, to {link}", hint)
                return True
            return False
        depth = name.count("/")
        for part in link.split("/"):
            depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
            if depth < 0:
                hint = f"/{name.split('/', 1)[0]} is at the top on the instance: take away one ../"
                self._refuse(name, f"the link leaves the overlay, to {link}", hint)
                return True
        return False

    def _member(self, top: str, entry: _Entry, first: dict[tuple[int, int], Member]) -> Member:
        mode, owner, group = self._settings(entry)
        kind, size, link = FILE, entry.size, entry.link
        if entry.kind == stat.S_IFDIR:
            kind = FOLDER
        elif entry.kind == stat.S_IFLNK:
            kind = SYMLINK
        elif entry.inode is not None and (original := first.get(entry.inode)):
            kind, size, link = HARDLINK, 0, original.name
            if (mode, owner, group) != (original.mode, original.owner, original.group):
                what = f"/{entry.name} is one file with /{link} (a hard link), and the rules give them other modes"
                self._refuse(entry.name, f"{what} or owners", "Make it a file of its own, or one rule for both")
        file = f"{top}/{entry.name}"
        shown = file if self.shown == top else f"{self.shown}/{entry.name}"
        return Member(entry.name, kind, mode, owner, group, size, link, file, shown)

    def _settings(self, entry: _Entry) -> tuple[int, str, str]:
        is_folder, is_link = entry.kind == stat.S_IFDIR, entry.kind == stat.S_IFLNK
        ruled: int | None = None
        owner = group = "root"
        for rule, matches in self.rules:
            if matches(entry.name, is_folder):
                self.matched.add(rule)
                ruled = rule.mode if rule.mode is not None else ruled
                if rule.owner is not None:
                    owner, group = rule.owner, rule.group or "root"
        if is_link:
            return 0o777, owner, group
        listed = [text for text, matches in self.special.items() if matches(entry.name, is_folder)]
        if ruled is not None:
            mode = ruled
        else:
            mode = entry.bits & ~0o022
            if not listed and is_folder:
                mode &= 0o777  # a set-gid folder around the checkout passes its bit on; Git keeps none of these
            elif not listed:
                mode &= ~stat.S_ISVTX
        if mode & 0o7000:
            self.found.update(listed)
        if mode & 0o6000 and not listed and not is_folder:
            bit = "set-uid" if mode & stat.S_ISUID else "set-gid"
            hint = "List it in ami.yaml, overlay: setuid: [..], or take the bit away: chmod ug-s"
            self._refuse(entry.name, f"/{entry.name} is {bit} (mode {mode:04o}) and is not listed as wanted", hint)
        return mode, owner, group
