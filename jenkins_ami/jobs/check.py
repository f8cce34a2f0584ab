"""What is wrong with a config.xml, before Jenkins sees it.

Jenkins itself answers 200 to most of this (recorded on 2.504.3): it drops what it does not know, never starts a job
whose cron line is wrong, and deletes builds that it should keep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from ..errors import InputError, Location
from ..findings import ERROR, WARNING, Finding
from ..source.jobs import cron_problem
from .model import FOLDER, MULTIBRANCH, VIEW
from .ownership import PIPELINE, TRIGGERS
from .xmltree import carries_control, parse

_ROOTS = {
    FOLDER: "com.cloudbees.hudson.plugins.folder.Folder",
    MULTIBRANCH: "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject",
    VIEW: "hudson.model.ListView",
}
_KNOWN = {*_ROOTS.values(), PIPELINE}
_INLINE = "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"
_FROM_SCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
_GERRIT = "com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.GerritTrigger"
_VERSION = re.compile(r"""\A\ufeff?<\?xml\s+version=["']([^"']*)""")
_DISCARD = ("daysToKeep", "numToKeep", "artifactDaysToKeep", "artifactNumToKeep")

Said = Iterator[tuple[str, str, str]]
"""Level, what, hint."""


def check_xml(text: str, kind: str, where: Location) -> tuple[Finding, ...]:
    """All that is wrong with one document.

    :param kind: of item, as in :mod:`.model`; empty when it is not known
    """
    try:
        root = parse(text)
    except InputError as error:
        return (Finding("config.xml", ERROR, error.what, where),)
    found = [Finding("config.xml", level, what, where, hint) for level, what, hint in _document(text, root, kind)]
    for check in _CHECKS:
        found += [Finding("config.xml", level, what, where, hint) for level, what, hint in check(root)]
    return tuple(found)


def _document(text: str, root: Element, kind: str) -> Said:
    version = _VERSION.match(text)
    if version and version[1] != "1.0":
        yield (
            ERROR,
            f"it is declared as XML {version[1]}",
            "Declare 1.0: Jenkins corrupts long documents of 1.1",
        )
    if any(carries_control(each) for each in root.iter()):
        yield ERROR, "it holds a control character", "Remove it: XML 1.0 cannot carry it"
    if "<![CDATA[" in text:
        yield WARNING, "it has a CDATA section", "Escape the text instead: Jenkins' parser corrupts some of them"
    wanted = _ROOTS.get(kind, PIPELINE) if kind else root.tag
    if root.tag != wanted or root.tag not in _KNOWN:
        yield ERROR, f"its root is {root.tag}", f"Use {wanted if kind else ', '.join(sorted(_KNOWN))}"


def _pipeline(root: Element) -> Said:
    if root.tag != PIPELINE:
        return
    definition = root.find("definition")
    cls = definition.get("class", "") if definition is not None else ""
    if definition is None:
        yield ERROR, "the job has no definition", "Jenkins accepts it, and can never build it"
    elif cls == _INLINE:
        if definition.findtext("sandbox") != "true":
            yield (
                ERROR,
                "its script is not sandboxed",
                "Set sandbox to true, or an administrator must approve it",
            )
        if not (definition.findtext("script") or "").strip():
            yield ERROR, "its script is empty", "Write one, or load it from Git"
    elif cls == _FROM_SCM:
        yield from _scm(definition)
    if len(root.findall("triggers/*")):
        yield WARNING, "triggers stand in the deprecated place", f"Put them into {TRIGGERS.rpartition('.')[2]}"


def _scm(definition: Element) -> Said:
    if not definition.findtext("scm/userRemoteConfigs/*/url"):
        yield ERROR, "its script comes from no repository", "Give a URL in userRemoteConfigs"
    if definition.findtext("scm/configVersion") != "2":
        yield ERROR, "configVersion of the Git plugin is not 2", "Write <configVersion>2</configVersion>"
    texts = [each.text or "" for each in definition.iter() if each.tag in ("refspec", "name")]
    if any("$" in text for text in texts) and definition.findtext("lightweight") == "true":
        hint = "Set lightweight to false: such a checkout cannot fetch what a parameter names"
        yield ERROR, "its refspec or branch is a parameter, and its checkout lightweight", hint


def _discarder(root: Element) -> Said:
    for each in root.iter():
        if "hudson.tasks.LogRotator" in (each.tag, each.get("class")):
            missing = [name for name in _DISCARD if not re.fullmatch(r"-?[0-9]+", each.findtext(name) or "")]
            if missing:
                hint = "Write all four; a number that is left out is 0, and each new build deletes all others"
                yield ERROR, f"LogRotator lacks {', '.join(missing)}", hint


def _gerrit(root: Element) -> Said:
    for each in root.iter(_GERRIT):
        if each.find("spec") is None:
            yield ERROR, "GerritTrigger lacks spec", "Write <spec></spec>: without it the trigger cannot be loaded"
        if not len(each.findall("triggerOnEvents/*")):
            yield (
                ERROR,
                "GerritTrigger has no event",
                "Name one: without, it starts on every patch set",
            )
        if not len(each.findall("gerritProjects/*")):
            yield ERROR, "GerritTrigger has no project", "Name one in gerritProjects"
        if each.find("commentTextParameterMode") is None:
            yield WARNING, "GerritTrigger lacks commentTextParameterMode", "Left out it is PLAIN; write BASE64"


def _cron(root: Element) -> Said:
    for tag in ("hudson.triggers.TimerTrigger", "hudson.triggers.SCMTrigger"):
        for each in root.iter(tag):
            lines = [line for line in (each.findtext("spec") or "").splitlines() if not line.lstrip().startswith("#")]
            for line in lines:
                if problem := cron_problem(line):
                    yield ERROR, f"'{line}' is no cron line: {problem}", "Jenkins accepts it, and never starts the job"


def _secrets(root: Element) -> Said:
    if next(root.iter("hudson.model.PasswordParameterDefinition"), None) is not None:
        yield ERROR, "a password parameter has its default in clear", "Use a credentials parameter"


def _sources(root: Element) -> Said:
    for each in root.iter("source"):
        if not each.findtext("id"):
            yield (
                ERROR,
                "a branch source has no id",
                "Give it a fixed one: with a new one every branch is built anew",
            )


_CHECKS: tuple[Callable[[Element], Said], ...] = (_pipeline, _discarder, _gerrit, _cron, _secrets, _sources)
