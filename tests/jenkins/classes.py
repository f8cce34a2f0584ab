"""The Java classes that may stand in a config.xml, with their fields in class order, as far as the project meets them.

From the recordings; what they do not contain is from the plugins' sources by way of the facts page: multibranch
projects, branch sources, throttling, permissions, folder credentials, and the order of fields that no recording has.

A field is ``name:kind``, the kinds being

====  ==============================================================================================
b i   primitive boolean or int: there with its zero after a save, whatever was posted
s     String, or an enum
n     a boxed number: dropped when it is none
p     Secret: encrypted when saved
o     an object; ``o=CLASS`` names the class that needs no ``class=``
l     a list of objects, of ``string`` too; the ``class=`` of an ordinary list is not kept
L     the same in a field of a wider type: a ``class=`` is kept
c     what ChoiceParameterDefinition calls ``choices``
x     anything: kept as it is
====  ==============================================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parent / "recordings"
PLUGINS: dict[str, str] = json.loads((RECORDINGS / "plugins.json").read_text())
NOT_RECORDED = {
    "gerrit-code-review": "0.4.9",
    "github-branch-source": "1822.v9eec8e5e69e3",
    "gitlab-branch-source": "718.v40b_5f0e67cd3",
    "throttle-concurrents": "2.16",
}
"""Plugins that the recorded server did not have."""

PIPELINE = "flow-definition"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
LIST_VIEW, ALL_VIEW = "hudson.model.ListView", "hudson.model.AllView"
JAVA_NAMES = {PIPELINE: "org.jenkinsci.plugins.workflow.job.WorkflowJob"}

_EVENT_VALUES = " ".join(
    f"gerritBuild{event}{label}Value:n"
    for label in ("Verified", "CodeReview")
    for event in ("Started", "Successful", "Failed", "Unstable", "NotBuilt", "Aborted")
)
_BRANCH_SOURCE_OWNER = "actions:l description:s displayName:s properties:l folderViews:o healthMetrics:l icon:o"

_TABLE = f"""
[workflow-job]
{PIPELINE} actions:l description:s displayName:s keepDependencies:b properties:l definition:o triggers:l quietPeriod:n \
authToken:s concurrentBuild:s disabled:b
org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty abortPrevious:b
org.jenkinsci.plugins.workflow.job.properties.DisableResumeJobProperty
org.jenkinsci.plugins.workflow.job.properties.DurabilityHintJobProperty hint:s
org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty triggers:l

[workflow-cps]
org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition script:s sandbox:b
org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition scm:o scriptPath:s lightweight:b

[workflow-multibranch]
{MULTIBRANCH} {_BRANCH_SOURCE_OWNER} orphanedItemStrategy:o triggers:l disabled:b sources:o factory:o
org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory owner:x scriptPath:s
org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty branch:x
org.jenkinsci.plugins.workflow.multibranch.JobPropertyTrackerAction jobPropertyDescriptors:l

[pipeline-model-definition]
org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobAction
org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction jobProperties:l triggers:l \
parameters:l options:l

[pipeline-groovy-lib]
org.jenkinsci.plugins.workflow.libs.FolderLibraries libraries:l
org.jenkinsci.plugins.workflow.libs.LibraryConfiguration name:s retriever:o defaultVersion:s implicit:b \
allowVersionOverride:b includeInChangesets:b cachingConfiguration:x
org.jenkinsci.plugins.workflow.libs.SCMSourceRetriever clone:b libraryPath:s scm:o
org.jenkinsci.plugins.workflow.libs.SCMRetriever clone:b libraryPath:s scm:o

[git]
hudson.plugins.git.GitSCM configVersion:n userRemoteConfigs:l branches:l doGenerateSubmoduleConfigurations:b gitTool:s \
browser:x submoduleCfg:L extensions:l
hudson.plugins.git.UserRemoteConfig name:s refspec:s url:s credentialsId:s
hudson.plugins.git.BranchSpec name:s
hudson.plugins.git.extensions.impl.BuildChooserSetting buildChooser:o
hudson.plugins.git.extensions.impl.CheckoutOption timeout:n
hudson.plugins.git.extensions.impl.CleanBeforeCheckout deleteUntrackedNestedRepositories:b
hudson.plugins.git.extensions.impl.CleanCheckout deleteUntrackedNestedRepositories:b
hudson.plugins.git.extensions.impl.CloneOption shallow:b noTags:b reference:s timeout:n depth:n honorRefspec:b
hudson.plugins.git.extensions.impl.LocalBranch localBranch:s
hudson.plugins.git.extensions.impl.PathRestriction includedRegions:s excludedRegions:s
hudson.plugins.git.extensions.impl.PerBuildTag
hudson.plugins.git.extensions.impl.PruneStaleBranch
hudson.plugins.git.extensions.impl.RelativeTargetDirectory relativeTargetDir:s
hudson.plugins.git.extensions.impl.SubmoduleOption disableSubmodules:b recursiveSubmodules:b trackingSubmodules:b \
reference:s parentCredentials:b timeout:n shallow:b depth:n threads:n
hudson.plugins.git.extensions.impl.WipeWorkspace
hudson.plugins.git.util.DefaultBuildChooser
jenkins.plugins.git.GitSCMSource id:s remote:s credentialsId:s traits:l
jenkins.plugins.git.traits.BranchDiscoveryTrait
jenkins.plugins.git.traits.CleanAfterCheckoutTrait extension:o
jenkins.plugins.git.traits.CleanBeforeCheckoutTrait extension:o
jenkins.plugins.git.traits.CloneOptionTrait extension:o
jenkins.plugins.git.traits.RefSpecsSCMSourceTrait templates:l
jenkins.plugins.git.traits.RefSpecsSCMSourceTrait$RefSpecTemplate value:s
jenkins.plugins.git.traits.TagDiscoveryTrait

[gerrit-trigger]
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.GerritTriggerBuildChooser separator:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.GerritTrigger spec:s gerritProjects:l \
dynamicGerritProjects:L skipVote:o=com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.SkipVote \
{_EVENT_VALUES} silentMode:b silentStartMode:b notificationLevel:s escapeQuotes:b nameAndEmailParameterMode:s \
commitMessageParameterMode:s changeSubjectParameterMode:s commentTextParameterMode:s dependencyJobsNames:s \
buildCancellationPolicy:o=com.sonyericsson.hudson.plugins.gerrit.trigger.config.BuildCancellationPolicy \
topicAssociation:o=com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.TopicAssociation topicAbort:s \
buildStartMessage:s buildFailureMessage:s buildSuccessfulMessage:s buildUnstableMessage:s buildNotBuiltMessage:s \
buildAbortedMessage:s buildUnsuccessfulFilepath:s customUrl:s serverName:s gerritSlaveId:s triggerOnEvents:l \
dynamicTriggerConfiguration:b triggerConfigURL:s triggerInformationAction:x
com.sonyericsson.hudson.plugins.gerrit.trigger.config.BuildCancellationPolicy enabled:b abortNewPatchsets:b \
abortManualPatchsets:b abortSameTopic:b abortAbandonedPatchsets:b
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.SkipVote onSuccessful:b onFailed:b onUnstable:b \
onNotBuilt:b onAborted:b
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.TopicAssociation ignoreNewChangeStatus:b \
ignoreMergedChangeStatus:b ignoreAbandonedChangeStatus:b
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.GerritProject compareType:s pattern:s branches:l \
topics:l hashtags:l filePaths:l forbiddenFilePaths:l disableStrictForbiddenFileVerification:b
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.Branch compareType:s pattern:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.FilePath compareType:s pattern:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.Hashtag compareType:s pattern:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.data.Topic compareType:s pattern:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginPatchsetCreatedEvent excludeDrafts:b \
excludeTrivialRebase:b excludeNoCodeChange:b excludePrivateState:b excludeWipState:b commitMessageContainsRegEx:s \
uploaderNameContainsRegEx:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginChangeMergedEvent commitMessageContainsRegEx:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginRefUpdatedEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginCommentAddedEvent verdictCategory:s \
commentAddedTriggerApprovalValue:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginCommentAddedContainsEvent \
commentAddedCommentContains:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginChangeAbandonedEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginChangeRestoredEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginDraftPublishedEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginHashtagsChangedEvent hashtagChanged:s
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginPrivateStateChangedEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginRerunCheckEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginTopicChangedEvent
com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.events.PluginWipStateChangedEvent

[cloudbees-folder]
{FOLDER} {_BRANCH_SOURCE_OWNER}
com.cloudbees.hudson.plugins.folder.views.DefaultFolderViewHolder views:l primaryView:s tabBar:o
com.cloudbees.hudson.plugins.folder.icons.StockFolderIcon
com.cloudbees.hudson.plugins.folder.health.WorstChildHealthMetric nonRecursive:b
com.cloudbees.hudson.plugins.folder.computed.DefaultOrphanedItemStrategy pruneDeadBranches:b daysToKeep:i numToKeep:i \
abortBuilds:b
com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger spec:s interval:n
com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider$FolderCredentialsProperty \
domainCredentialsMap:x

[matrix-auth]
hudson.security.AuthorizationMatrixProperty *
com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty *

[credentials]
com.cloudbees.plugins.credentials.CredentialsParameterDefinition name:s description:s defaultValue:s credentialType:s \
required:b

[throttle-concurrents]
hudson.plugins.throttleconcurrents.ThrottleJobProperty maxConcurrentPerNode:n maxConcurrentTotal:n categories:L \
throttleEnabled:b throttleOption:s limitOneJobWithMatchingParams:b paramsToUseForLimit:s configVersion:n

[branch-api]
jenkins.branch.MultiBranchProjectViewHolder owner:x
jenkins.branch.MetadataActionFolderIcon owner:x
jenkins.branch.MultiBranchProject$BranchSourceList data:l owner:x
jenkins.branch.BranchSource source:o strategy:o buildStrategies:l
jenkins.branch.DefaultBranchPropertyStrategy properties:L
jenkins.branch.DescriptionColumn

[scm-api]
jenkins.scm.impl.trait.WildcardSCMHeadFilterTrait includes:s excludes:s
jenkins.scm.impl.trait.RegexSCMHeadFilterTrait regex:s

[gerrit-code-review]
jenkins.plugins.gerrit.GerritSCMSource id:s remote:s insecureHttps:s credentialsId:s apiKey:p traits:l
jenkins.plugins.gerrit.traits.ChangeDiscoveryTrait queryString:s
jenkins.plugins.gerrit.traits.FilterChecksTrait queryOperator:s queryString:s

[github-branch-source]
org.jenkinsci.plugins.github__branch__source.GitHubSCMSource id:s apiUri:s credentialsId:s repoOwner:s repository:s \
repositoryUrl:s traits:l
org.jenkinsci.plugins.github__branch__source.BranchDiscoveryTrait strategyId:i
org.jenkinsci.plugins.github__branch__source.OriginPullRequestDiscoveryTrait strategyId:i
org.jenkinsci.plugins.github__branch__source.ForkPullRequestDiscoveryTrait strategyId:i trust:x
org.jenkinsci.plugins.github__branch__source.TagDiscoveryTrait

[gitlab-branch-source]
io.jenkins.plugins.gitlabbranchsource.GitLabSCMSource id:s serverName:s projectOwner:s projectPath:s projectName:s \
credentialsId:s traits:l sshRemote:s httpRemote:s projectId:n
io.jenkins.plugins.gitlabbranchsource.BranchDiscoveryTrait strategyId:i branchesAlwaysIncludedRegex:s
io.jenkins.plugins.gitlabbranchsource.OriginMergeRequestDiscoveryTrait strategyId:i
io.jenkins.plugins.gitlabbranchsource.ForkMergeRequestDiscoveryTrait strategyId:i trust:x buildMRForksNotMirror:b
io.jenkins.plugins.gitlabbranchsource.TagDiscoveryTrait

[]
jenkins.model.BuildDiscarderProperty strategy:o
hudson.tasks.LogRotator daysToKeep:i numToKeep:i artifactDaysToKeep:n artifactNumToKeep:n removeLastBuild:b
hudson.model.ParametersDefinitionProperty parameterDefinitions:l
hudson.model.StringParameterDefinition name:s description:s defaultValue:s trim:b
hudson.model.TextParameterDefinition name:s description:s defaultValue:s trim:b
hudson.model.BooleanParameterDefinition name:s description:s defaultValue:b
hudson.model.ChoiceParameterDefinition name:s description:s choices:c defaultValue:s
hudson.model.PasswordParameterDefinition name:s description:s defaultValue:p
hudson.triggers.TimerTrigger spec:s
hudson.triggers.SCMTrigger spec:s ignorePostCommitHooks:b
jenkins.triggers.ReverseBuildTrigger spec:s upstreamProjects:s threshold:o=hudson.model.Result
hudson.model.Result name:s ordinal:i color:s completeBuild:b
{LIST_VIEW} owner:x name:s description:s filterExecutors:b filterQueue:b properties:L jobNames:x jobFilters:l \
columns:l includeRegex:s recurse:b statusFilter:s
{ALL_VIEW} owner:x name:s description:s filterExecutors:b filterQueue:b properties:L
hudson.views.DefaultViewsTabBar
hudson.views.StatusColumn
hudson.views.WeatherColumn
hudson.views.JobColumn
hudson.views.LastSuccessColumn
hudson.views.LastFailureColumn
hudson.views.LastDurationColumn
hudson.views.LastStableColumn
hudson.views.BuildButtonColumn
hudson.views.StatusFilter statusFilter:b
"""


@dataclass(frozen=True)
class Field:
    """A field of a class: see the module's table of kinds. ``declared`` is the class that needs no ``class=``."""

    name: str
    kind: str
    declared: str = ""


@dataclass(frozen=True)
class JavaClass:
    """A class: ``fields`` is None for one with a converter of its own, whose content is kept as it is."""

    name: str
    plugin: str
    fields: tuple[Field, ...] | None


def _read_table() -> dict[str, JavaClass]:
    known, plugin = {}, ""
    for line in _TABLE.splitlines():
        if line.startswith("["):
            plugin = line.strip("[]")
        elif line:
            name, *words = line.split()
            fields = []
            for word in words if words != ["*"] else ():
                field, _, kind = word.partition(":")
                kind, _, declared = kind.partition("=")
                fields.append(Field(field, kind, declared))
            known[java_name(name)] = JavaClass(java_name(name), plugin, None if words == ["*"] else tuple(fields))
    return known


def java_name(element: str) -> str:
    """``a.B_-C`` as an element is ``a.B$C`` in Java, and ``__`` a single ``_``."""
    return element.replace("_-", "$").replace("__", "_") if "_" in element else element


def element_name(name: str) -> str:
    return name.replace("_", "__").replace("$", "_-")


CLASSES = _read_table()
PROJECTS = frozenset({PIPELINE, FOLDER, MULTIBRANCH})
VIEWS = frozenset({LIST_VIEW, ALL_VIEW})
