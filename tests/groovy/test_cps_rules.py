"""Every step in ``vars/`` runs on Jenkins' own engine, trusted or sandboxed, and is documented.

The rules are ``jenkins/harness/CpsRules.groovy``. Each snippet here was refused, or silently broken, by Jenkins 2.504.3
with workflow-cps 4169 and script-security 1373.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import HERE, ROOT, VARS, groovy

STEPS = sorted(path.stem for path in VARS.glob("*.groovy"))

REFUSED = {
    "def call() { ['b', 'a'].sort { it } }": "'sort { }' does not go through the CPS engine",
    "def call() { [[x: 2]].unique { it.x } }": "'unique { }' does not go through the CPS engine",
    "def call() { 'a b'.eachLine { echo it } }": "'eachLine { }' does not go through the CPS engine",
    "def call() { Collections.sort([2, 1], { a, b -> a <=> b } as Comparator) }": "'sort { }' does not go through",
    "def call() { ['a']*.toUpperCase() }": "'*.toUpperCase()' does not compile",
    "def call() { [a: 1]*.key }": "'*.key' of a map is silently null",
    "def call() { for (e in [a: 1]) { echo e.key } }": "a map's entry cannot be saved",
    "def call() { def m = ('a1' =~ /1/); echo 'x'; m[0] }": "cannot be saved",
    "def call() { def s = [1, 2].subList(0, 1); echo 'x'; s }": "cannot be saved",
    "def call() { new groovy.json.JsonSlurper().parseText('{}') }": "JSON is read in @NonCPS methods",
    "@NonCPS\ndef call() { new groovy.json.JsonSlurperClassic() }": "the sandbox refuses 'new JsonSlurperClassic()'",
    "@NonCPS\ndef call() { sh(script: 'x', returnStdout: true) }": "'sh' is a step or CPS method",
    "@NonCPS\ndef call() { sleep 1 }": "'sleep' is a step or CPS method",
    "@NonCPS\ndef call() { other() }\ndef other() { 1 }": "'other' is a step or CPS method",
    "def call() { new ArrayList() }": "the sandbox refuses 'new ArrayList()'",
    "def call() { new LinkedHashMap([a: 1]) }": "the sandbox refuses 'new LinkedHashMap(..)'",
    "def call() { new File('x').name }": "the sandbox refuses 'new File(..)'",
    "def call() { throw new IllegalStateException('x') }": "the sandbox refuses 'new IllegalStateException(..)'",
    "def call() { new Runnable() { void run() { } } }": "the sandbox refuses anonymous classes",
    "def call() { env['X'] }": "the sandbox refuses env[..]",
    "def call() { System.getenv('PATH') }": "the sandbox refuses System",
    "def call() { jenkins.model.Jenkins.get() }": "the sandbox refuses Jenkins",
    "def call() { currentBuild.rawBuild }": "the sandbox refuses 'currentBuild.rawBuild'",
    "def call() { [2, 1].max() }": "the sandbox refuses 'max'",
    "def call() { ['a'].withIndex() }": "the sandbox refuses 'withIndex'",
    "def call() { sprintf('%s', 'a') }": "the sandbox refuses 'sprintf'",
    "def call() { 'a1'.findAll(/1/) }": "the sandbox refuses 'findAll' without a closure",
    "def x = 1\ndef call() { x }": "a variable at the top is invisible",
    "x = 1\ndef call() { x }": "a variable at the top is invisible",
    "def call(Map config = [:], Closure body = null) { }": "a default for the closure 'body'",
    "def call() { switch (5) { case { it > 3 }: return 1 } }": "a closure as case does not work",
    "def call() { synchronized (this) { } }": "'synchronized' does not compile",
    "@groovy.transform.CompileStatic\nclass A { }\ndef call() { }": "@CompileStatic does not compile",
    "def build() { pipeline { agent any } }": "'pipeline { }' works directly in 'call' only",
    'def call() { def n = 0; "${-> n}" }': "is evaluated once",
    'def call(x) { sh "rm ${x}" }': "the script of 'sh' must be a constant text",
    "def call(x) { sh(returnStatus: true, script: 'rm ' + x) }": "the script of 'sh' must be a constant text",
    "def call(x) { sh(libraryResource(x)) }": "the script of 'sh' must be a constant text",
    "@NonCPS\ndef call() { try { echo 'x' } catch (Throwable e) { } }": "swallows the engine's own signals",
}

ACCEPTED = """
import groovy.transform.Field

@Field static final Map DEFAULTS = [a: 1]

def call(Map config = [:], Closure body) {
    Map all = DEFAULTS + config
    all.each { name, value -> echo "${name}=${value}" }
    for (name in all.keySet()) { echo name }
    if ('a1' =~ /1/) { echo(['a'].join(',') + [2, 1].sort() + [1].max { it }) }
    try { sh(libraryResource('x.sh')) } catch (NoSuchMethodError e) { echo e.message }
    withEnv(['X=1']) { sh(script: 'echo "$X"', label: "for ${all.a}") }
    return sorted(['b', 'a']) + new Date().time + System.currentTimeMillis() + env.X
}

@NonCPS
def sorted(List names) { names.sort { it } + new groovy.json.JsonSlurper().parseText('[]') }
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the rules say of each snippet, of :data:`ACCEPTED`, and of each step by its name. One JVM for all."""
    root = tmp_path_factory.mktemp("rules")
    files: dict[Path, str] = {VARS / f"{step}.groovy": step for step in STEPS}
    for number, text in enumerate([*REFUSED, ACCEPTED]):
        path = root / f"snippet{number}.groovy"
        path.write_text(text)
        files[path] = text
    said: dict[str, list[str]] = {key: [] for key in files.values()}
    for line in groovy(HERE / "cps_rules.groovy", *files).splitlines():
        stem, _, finding = line.partition(".groovy:")
        said[files[Path(f"{stem}.groovy")]].append(finding)
    return said


@pytest.mark.groovy
@pytest.mark.parametrize("snippet", REFUSED)
def test_what_jenkins_would_not_run_is_refused(findings: dict[str, list[str]], snippet: str) -> None:
    assert len(findings[snippet]) == 1
    assert REFUSED[snippet] in findings[snippet][0]


@pytest.mark.groovy
def test_what_jenkins_runs_is_accepted(findings: dict[str, list[str]]) -> None:
    assert findings[ACCEPTED] == []


@pytest.mark.groovy
@pytest.mark.parametrize("step", STEPS)
def test_every_step_keeps_the_rules(findings: dict[str, list[str]], step: str) -> None:
    assert findings[step] == []


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_help_a_page_and_a_test(step: str) -> None:
    for path in (VARS / f"{step}.txt", ROOT / "docs" / f"{step}.md"):
        assert f"{step}(" in path.read_text()
    assert f"See {step}.txt." in (VARS / f"{step}.groovy").read_text()
    assert any(f"{step}(" in path.read_text() for path in HERE.glob("test_*.py") if path != Path(__file__))


def defaults(step: str) -> dict[str, tuple[str, str]]:
    """The parameters of a step: default and comment. A step without DEFAULTS has none."""
    block = (VARS / f"{step}.groovy").read_text().partition(" DEFAULTS = [\n")[2].partition("\n]")[0]
    found = {}
    for line in block.splitlines():
        name, _, rest = line.partition(":")
        value, _, comment = rest.partition("// ")
        found[name.strip()] = (value.strip().rstrip(",").strip(), comment.strip())
    return found


@pytest.mark.parametrize("step", [step for step in STEPS if defaults(step)])
def test_a_step_refuses_what_is_not_among_its_defaults(step: str) -> None:
    text = (VARS / f"{step}.groovy").read_text()
    assert f"jenkinsAmi.settle('{step}', config, DEFAULTS)" in text
    assert "def call(Map config = [:]" in text


@pytest.mark.parametrize(("step", "parameter"), [(step, parameter) for step in STEPS for parameter in defaults(step)])
def test_a_parameter_has_a_comment_and_help_and_page_name_it_and_its_default(step: str, parameter: str) -> None:
    value, comment = defaults(step)[parameter]
    assert comment
    for path in (VARS / f"{step}.txt", ROOT / "docs" / f"{step}.md"):
        named = [line for line in path.read_text().splitlines() if re.search(rf"\b{parameter}\b", line)]
        assert named, path
        assert value in ("''", "[]", "[:]") or any(value.strip("'") in line for line in named), path
