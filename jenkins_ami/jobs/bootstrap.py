"""An empty Jenkins: the root folder with its library, the seed job and the drift alarm; and the plugins that jobs need.

The seed job makes everything else. This is a plan and apply like any other, of what belongs to no AMI source.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ..errors import ServerError
from ..progress import Progress
from .apply import Done, Options, apply
from .compare import plugin_of
from .config import JobsConfig
from .connection import Connection
from .desired import without_sources
from .model import ALARM, BUILD, FOLDER, MULTIBRANCH, SEED, VERIFY, Item
from .plan import FOLDER_CLASS, FOREIGN
from .run import plan_jobs

_STEPS = ("workflow-basic-steps", "workflow-durable-task-step", "pipeline-stage-step", "workflow-scm-step")
_SEED = (*_STEPS, "pipeline-model-definition", "credentials-binding", "timestamper")
_OF_KIND = {
    FOLDER: ("cloudbees-folder",),
    BUILD: ("workflow-job", *_STEPS),
    VERIFY: ("workflow-job", *_STEPS),
    MULTIBRANCH: ("workflow-multibranch", *_STEPS),
    SEED: ("workflow-job", *_SEED),
    ALARM: ("workflow-job", *_SEED),
}
"""Plugins whose steps a job of a kind runs; its config.xml does not name them."""
_CLASS = re.compile(r"""(?:<|\sclass=")([\w$.]+\.[\w$.]+)[\s"/>]""")


def bootstrap(config: JobsConfig, connection: Connection, progress: Progress) -> tuple[Done, ...]:
    """Make what is missing and mend what differs; nothing is deleted. May be run again at any time.

    :returns: what was done; empty when all of it is there
    :raises ServerError: plugins are missing, or Jenkins refuses; in the first case nothing was changed
    """
    wanted = without_sources(config)
    with progress.step("Plugins") as step:
        plugins = connection.plugins()
        if plugins is None:
            progress.warn("This user may not see which plugins there are (it takes Overall/Administer): not checked")
        elif missing := missing_plugins(wanted.items, plugins, also=_of_providers(config)):
            raise ServerError(
                f"Jenkins lacks the plugin{'s' * (len(missing) > 1)} {', '.join(missing)}",
                where=connection.url,
                hint=install_hint(missing, connection.url),
            )
        step.done("not checked" if plugins is None else "all there")
    if config.seed is None:
        progress.warn("The configuration has no 'seed': there will be no seed job and no drift alarm")
    plan = plan_jobs(wanted, connection, progress, config=config, verify=True)
    for change in plan.of(FOREIGN):
        if change.item is not None and change.live is not None and change.live.cls != FOLDER_CLASS:
            progress.warn(f"{change.name} {'; '.join(change.notes)}")
    return apply(plan, connection, progress, Options(workers=config.jenkins.workers))


def missing_plugins(items: Iterable[Item], plugins: Collection[str], also: Iterable[str] = ()) -> tuple[str, ...]:
    """Short names of plugins that items need and Jenkins does not have, sorted.

    :param plugins: short names of those that it has
    :param also: further ones that are needed
    """
    needed = set(also)
    classes: set[str] = set()
    for item in items:
        needed.update(_OF_KIND.get(item.kind, ()))
        classes.update(_CLASS.findall(item.xml))
    needed.update(plugin_of(name.replace("__", "_")) for name in classes)
    return tuple(sorted(needed - {""} - set(plugins)))


def install_hint(names: Iterable[str], url: str) -> str:
    """How to install plugins."""
    return f"Install with: java -jar jenkins-cli.jar -s {url} install-plugin {' '.join(names)} -restart"


def _of_providers(config: JobsConfig) -> set[str]:
    """What the jobs of every source of a provider need, whatever the source says."""
    return {"gerrit-trigger" for provider in config.providers if provider.kind == "gerrit"}
