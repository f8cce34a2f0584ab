"""Debian's cloud-init in the cache, for the tests and for ``make bench``: its code is run from there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jenkins_ami.paths import cache_dir
from jenkins_ami.process import ProcessError, run


def cloud_init_package() -> Path:
    """The folder that holds the package ``cloudinit``. Downloaded once; needs the libraries of the extra ``test``."""
    home = cache_dir() / "cloud-init-deb"
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".cloud-init-deb.") as name:
            work = Path(name)
            try:
                run(["apt-get", "download", "cloud-init"], cwd=work)
            except ProcessError:  # no package lists, or old ones
                run(["apt-get", "update"])
                run(["apt-get", "download", "cloud-init"], cwd=work)
            (package,) = work.glob("*.deb")
            run(["dpkg-deb", "-x", package, work / "root"])
            try:
                (work / "root").rename(home)
            except OSError:  # another worker was faster
                assert home.is_dir()
    return home / "usr/lib/python3/dist-packages"
