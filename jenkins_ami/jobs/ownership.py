"""Who owns what in the config.xml of an item: this program, a Jenkinsfile, a person, another plugin.

After a build Jenkins notes in ``<actions>`` what the Jenkinsfile declared (properties, triggers, parameters); those it
replaces with every build, so they are the Jenkinsfile's. Permissions and folder credentials are the administrators'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from . import mark

PRESERVED = (
    "com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider_-FolderCredentialsProperty",
    "com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty",
    "hudson.security.AuthorizationMatrixProperty",
)
"""Classes of properties that are never compared, and always kept."""
LIBRARIES = "org.jenkinsci.plugins.workflow.libs.FolderLibraries"
CONCURRENCY = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
PARAMETERS = "hudson.model.ParametersDefinitionProperty"
TRIGGERS = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
PIPELINE = "flow-definition"
FOLDERS = frozenset(
    {
        "com.cloudbees.hudson.plugins.folder.Folder",
        "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject",
    }
)
APPEARANCE = ("folderViews", "healthMetrics", "icon")
"""What of a folder belongs to whoever looks at it."""
_DECLARATIVE = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction"
_SCRIPTED = "org.jenkinsci.plugins.workflow.multibranch.JobPropertyTrackerAction"


@dataclass(frozen=True)
class Tracked:
    """What a Jenkinsfile owns: properties and triggers by Java class (``a.B$C``), parameters by name."""

    properties: frozenset[str] = frozenset()
    triggers: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.properties or self.triggers or self.parameters)


def tracked(live: Element) -> Tracked:
    """What the item's ``<actions>`` say."""
    actions = live.find("actions")
    if actions is None:
        return Tracked()
    declared = actions.find(_DECLARATIVE)
    scripted = actions.find(_SCRIPTED)
    properties = set(_strings(declared, "jobProperties")) | set(_strings(scripted, "jobPropertyDescriptors"))
    return Tracked(
        frozenset(properties), frozenset(_strings(declared, "triggers")), frozenset(_strings(declared, "parameters"))
    )


def _strings(action: Element | None, tag: str) -> Iterable[str]:
    found = action.find(tag) if action is not None else None
    return [] if found is None else [each.text or "" for each in found.iter("string")]


def java_name(tag: str) -> str:
    """The Java class that an element is named after: XStream writes ``$`` as ``_-`` and ``_`` as ``__``."""
    return re.sub("_([_-])", lambda match: "_" if match[1] == "_" else "$", tag) if "_" in tag else tag


def is_others(tag: str, owned: Tracked, preserve: Sequence[str]) -> bool:
    """Whether a property of this class is not ours to compare or to change.

    :param preserve: Java classes, or elements named after them
    """
    name = java_name(tag)
    return tag in PRESERVED or tag in preserve or name in preserve or name in owned.properties


def is_guest(wanted: Element, there: Element) -> bool:
    """Whether we are a guest in a folder: it was there before us, or has another owner as well.

    Its words and settings are then somebody else's, and only our libraries and our mark are put in.
    """
    if wanted.tag not in FOLDERS:
        return False
    ours = mark.read(wanted.findtext("description") or "")
    theirs = mark.read(there.findtext("description") or "")
    if any(mark.ADOPTED in each.words for each in theirs) or len(theirs) > 1:
        return True
    return bool(ours) and ours[0].owner not in [each.owner for each in theirs]


def name_of(element: Element) -> str:
    """What a parameter or a library is called, or empty."""
    return element.findtext("name") or ""


def library_names(element: Element | None) -> frozenset[str]:
    """The names of the libraries of a ``FolderLibraries``."""
    if element is None:
        return frozenset()
    return frozenset(name_of(each) for each in element.iterfind("libraries/*"))
