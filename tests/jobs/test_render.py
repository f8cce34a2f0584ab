"""Templates: values arrive as they were, and nothing in them is ever markup or code."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.errors import InputError, visible
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.render import OURS, Templates, git_url, groovy, xml_text
from jenkins_ami.process import run
from tests.jobs.sources import CONFIG, config, discovery, source

HOSTILE = [
    "plain",
    "it's",
    'say "hello"',
    "a'''b\"\"\"c",
    "\\",
    "\\\\'",
    "\\u0027; evil() //",
    "\\\\u0027; evil() //",
    "${jndi:ldap://x/y}",
    "$HOME ${env.HOME} #{x}",
    "]]>",
    "<![CDATA[<b>&amp;</b>]]>",
    "</description><script>alert(1)</script>",
    "<!-- x --> <?xml version='1.1'?>",
    "line one\nline two\r\nline three\rfour",
    "tab\there",
    "é ± 日本 😀 \u0085 \u202e",
    *("".join(map(chr, range(first, first + 16))) for first in range(0, 0x100, 16)),
    "\\\x00\\\x0a1\\é\\\\é'\x007\uffff",
    "\x00\x01\x08\x0b\x0c\x1a\x1b\x7f\x80\x9f\u2028\u2029\ufeff\uffff",
    "{{ 7 * 7 }} {% raw %}",
    "'); evil('",
    "$(id) `id` ; rm -rf /",
    "x" * 300,
    "@{remote} {0} %s",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NOT_XML = {chr(code) for code in [*range(0x20), 0x2028, 0xFFFE, 0xFFFF]} - set("\t\n\r")


def as_shown(text):
    """What can be written in XML 1.0 as it is, and the rest visible."""
    return "".join(visible(char) if char in NOT_XML else char for char in text)


@given(texts)
def test_a_text_is_read_back_from_xml_as_it_was(text):
    assert (ElementTree.fromstring(f"<a>{xml_text(text)}</a>").text or "") == as_shown(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:40])
def test_a_hostile_text_is_read_back_from_xml_as_it_was(text):
    assert ElementTree.fromstring(f"<a>{xml_text(text)}</a>").text == as_shown(text)


@given(texts)
def test_a_groovy_literal_is_printable_ascii_without_a_bare_quote(text):
    literal = groovy(text)
    assert literal.isascii() and literal.isprintable()
    inner = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert "'" not in inner
    assert all(re.match(r"[nrt]|u[0-9a-f]{4}|[01][0-7]{2}", rest) for rest in inner.split("\\")[1:])


def in_groovy(text):
    """UTF-16 of what a literal is to be; U+FFFF cannot be in one."""
    return text.replace("\uffff", "\\uffff").encode("utf-16-be").hex()


@pytest.mark.groovy
def test_a_mapping_and_a_list_are_literals_too():
    assert groovy({"from": "https://h/$x", "extras": ("a", "b")}) == "[from: 'https://h/$x', extras: ['a', 'b']]"
    assert groovy({}) == "[:]"
    with pytest.raises(InputError, match="is no name of a parameter"):
        groovy({"a b": "c"})


def test_groovy_reads_every_literal_as_the_text_that_it_was(tmp_path):
    script = tmp_path / "read.groovy"
    lines = ["def texts = []"]
    lines += [f"texts << {groovy(text)}" for text in HOSTILE]
    lines += ["print(groovy.json.JsonOutput.toJson(texts.collect { it.getBytes('UTF-16BE').encodeHex().toString() }))"]
    script.write_text("\n".join(lines))
    done = run(["groovy", script])
    assert eval(done.stdout) == [in_groovy(text) for text in HOSTILE]


@pytest.mark.groovy
@pytest.mark.parametrize("name", ["build", "verify"])
def test_a_generated_script_calls_the_step_with_its_values_and_runs_nothing_else(name, tmp_path):
    calls = []
    for text in HOSTILE:
        arguments = {"source": [text, text], "repository": text, "timeout": 60, "local": True}
        variables = {"library": "", "arguments": arguments, "local": False}
        calls.append(Templates().script(name, variables))
    script = tmp_path / "pipeline.groovy"
    head = [
        "called = []",
        "params = [ENVIRONMENT: 'dev', VERSION: '', REUSE: false]",
        "env = [GERRIT_REFSPEC: 'refs/changes/01/1/1']",
        "def buildAmi(Map values) { called << values }",
        "def verifyAmi(Map values) { called << values }",
    ]
    tail = [
        "def bytes = called.collect { it.source.last().getBytes('UTF-16BE').encodeHex().toString() }",
        "print(groovy.json.JsonOutput.toJson(bytes))",
    ]
    script.write_text("\n".join([*head, *calls, *tail]))
    assert eval(run(["groovy", script]).stdout) == [in_groovy(text) for text in HOSTILE]


def own(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return Templates([folder])


MARK = f"[jenkins-ami amis {mark.TOKEN}]"
DESCRIBED = "<description>{{ description }}</description>"


def test_a_companys_template_wins_over_ours(tmp_path):
    templates = own(tmp_path, "view.xml.j2", "<x>{{ name }}" + DESCRIBED + "</x>")
    text, digest = templates.config("view", {"name": "a & b", "description": MARK})
    assert text == f"<x>a &amp; b<description>[jenkins-ami amis {digest}]</description></x>"


def test_a_companys_template_may_use_our_pieces(tmp_path):
    text = "{% import 'macros.xml.j2' as part %}<x>{{ part.timer(spec) }}" + DESCRIBED + "</x>"
    variables = {"spec": "H 3 * * *", "description": MARK}
    assert "<spec>H 3 * * *</spec>" in own(tmp_path, "mine.xml.j2", text).config("mine", variables)[0]


def test_a_companys_template_may_extend_ours_of_the_same_name(tmp_path):
    (tmp_path / "own").mkdir()
    settings = config(tmp_path, CONFIG + "templates: own\n")
    text = '{% extends "jenkins-ami/build.xml.j2" %}\n{% block properties %}    <com.example.Ours/>\n{% endblock %}\n'
    (tmp_path / "own" / "build.xml.j2").write_text(text)
    (with_it,) = [item for item in desired(settings, discovery(source()))[0].items if item.kind == "build"]
    (without,) = [item for item in desired(config(tmp_path), discovery(source()))[0].items if item.kind == "build"]
    assert with_it.xml.replace("    <com.example.Ours/>\n", "") == without.xml.replace(without.digest, with_it.digest)


def test_the_digest_takes_the_tokens_place_in_the_mark_and_nowhere_else(tmp_path):
    templates = own(tmp_path, "mine.xml.j2", "<x>{{ other }}" + DESCRIBED + "</x>")
    text, digest = templates.config("mine", {"other": MARK, "description": f"{MARK} says a repository\n{MARK}"})
    assert text.count(digest) == 1 and text.endswith(f"\n[jenkins-ami amis {digest}]</description></x>")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("<x/>", 0),
        ("<x><description>{{ description }} .</description></x>", 0),
        (f"<x>{DESCRIBED}{DESCRIBED}</x>", 2),
    ],
    ids=["no description", "words behind the mark", "two of them"],
)
def test_a_template_that_leaves_the_mark_out_is_an_error(text, times, tmp_path):
    with pytest.raises(InputError) as caught:
        own(tmp_path, "mine.xml.j2", text).config("mine", {"description": MARK})
    assert caught.value.line().startswith(
        f"the template prints the description {times} times ({tmp_path}/mine.xml.j2). Write <description>"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ missing }}", "the template cannot be rendered: 'missing' is undefined (mine.xml.j2:1)."),
        (
            "a\n{{ name.nothing }}",
            "the template cannot be rendered: 'str object' has no attribute 'nothing' (mine.xml.j2:2).",
        ),
        (
            "a\n\n{% if %}",
            "the template cannot be read: Expected an expression, got 'end of statement block' (mine.xml.j2:3).",
        ),
        ("{{ none_ }}", "the template cannot be rendered: NoneType is no value for a config.xml (mine.xml.j2:1)."),
        ("{{ 1 / 0 }}", "the template cannot be rendered: division by zero (mine.xml.j2:1)."),
        ("{% include 'x' %}", "there is no template x"),
        ("{% include 'mine.xml.j2' %}", "the template cannot be rendered: maximum recursion depth exceeded"),
    ],
)
def test_an_error_in_a_template_is_one_line_with_its_place(text, line, tmp_path):
    with pytest.raises(InputError) as caught:
        own(tmp_path, "mine.xml.j2", text).config("mine", {"name": "n", "none_": None})
    said = caught.value.line().replace(f"{tmp_path}/", "")
    assert said.startswith(line)


def test_a_value_without_a_filter_does_not_get_into_a_script(tmp_path):
    with pytest.raises(InputError) as caught:
        own(tmp_path, "mine.groovy.j2", "x({{ name }})").script("mine", {"name": "'); evil('"})
    assert "goes into a script without a filter" in caught.value.line()


@pytest.mark.parametrize("name", ["a b", "a-b", "1a", "a:b", ""])
def test_the_name_of_an_argument_is_an_identifier(name):
    with pytest.raises(InputError):
        Templates().script("verify", {"library": "", "arguments": {name: "x"}})


def test_dollars_of_a_url_are_encoded_for_the_git_plugin():
    assert git_url("https://h/a$b/${c}") == "https://h/a%24b/%24{c}"


def test_our_templates_are_there():
    names = {path.name for path in OURS.iterdir()}
    assert {
        "build.xml.j2",
        "verify.xml.j2",
        "folder.xml.j2",
        "multibranch.xml.j2",
        "view.xml.j2",
        "seed.xml.j2",
    } <= names


def test_rendering_needs_no_network_and_no_jenkins_library():
    code = (
        "import sys; from jenkins_ami.jobs.render import Templates\n"
        "Templates().script('verify', {'library': '', 'arguments': {}})\n"
        'sys.exit(f\'{ {"requests", "urllib3", "jenkins", "boto3"} & set(sys.modules)}\' '
        "if {'requests', 'urllib3', 'jenkins', 'boto3'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
