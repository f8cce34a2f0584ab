"""Templates: values arrive as they were, and nothing in them is ever markup or code."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.errors import InputError, visible
from jenkins_ami.jobs.render import OURS, Templates, git_url, groovy, xml_text
from jenkins_ami.process import run

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
    "é ± 日本 😀 \u2028 \u0085 \u202e",
    "{{ 7 * 7 }} {% raw %}",
    "'); evil('",
    "$(id) `id` ; rm -rf /",
    "x" * 300,
    "@{remote} {0} %s",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NOT_XML = {chr(code) for code in [*range(0x20), 0xFFFE, 0xFFFF]} - set("\t\n\r")


def as_shown(text):
    """What can be written in XML 1.0 as it is, and the rest visible."""
    return "".join(visible(char) if char in NOT_XML else char for char in text)


@given(texts)
def test_a_text_is_read_back_from_xml_as_it_was(text):
    assert (ElementTree.fromstring(f"<a>{xml_text(text)}</a>").text or "") == as_shown(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:40])
def test_a_hostile_text_is_read_back_from_xml_as_it_was(text):
    assert ElementTree.fromstring(f"<a>{xml_text(text)}</a>").text == text


@given(texts)
def test_a_groovy_literal_is_printable_ascii_without_a_bare_quote(text):
    literal = groovy(text)
    assert literal.isascii() and literal.isprintable()
    inner = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert "'" not in inner
    assert all(rest[0] in "nrtu" for rest in inner.split("\\")[1:])


@pytest.mark.groovy
def test_groovy_reads_every_literal_as_the_text_that_it_was(tmp_path):
    script = tmp_path / "read.groovy"
    lines = ["def texts = []"]
    lines += [f"texts << {groovy(text)}" for text in HOSTILE]
    lines += ["print(groovy.json.JsonOutput.toJson(texts.collect { it.getBytes('UTF-16BE').encodeHex().toString() }))"]
    script.write_text("\n".join(lines))
    done = run(["groovy", script])
    assert eval(done.stdout) == [text.encode("utf-16-be").hex() for text in HOSTILE]


@pytest.mark.groovy
@pytest.mark.parametrize("name", ["build", "verify"])
def test_a_generated_script_calls_the_step_with_its_values_and_runs_nothing_else(name, tmp_path):
    calls = []
    for text in HOSTILE:
        arguments = {"source": text, "repository": text, "timeout": 60, "local": True}
        variables = {"library": "", "arguments": arguments, "local": False}
        calls.append(Templates().script(name, variables))
    script = tmp_path / "pipeline.groovy"
    head = [
        "called = []",
        "params = [ENVIRONMENT: 'dev', VERSION: '', REUSE: false]",
        "env = [GERRIT_REFSPEC: 'refs/changes/01/1/1']",
        "def buildAmi(Map values) { called << values }",
    ]
    tail = [
        "print(groovy.json.JsonOutput.toJson(called.collect { it.source.getBytes('UTF-16BE').encodeHex().toString() }))"
    ]
    script.write_text("\n".join([*head, *calls, *tail]))
    assert eval(run(["groovy", script]).stdout) == [text.encode("utf-16-be").hex() for text in HOSTILE]


def own(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return Templates([folder])


def test_a_companys_template_wins_over_ours(tmp_path):
    templates = own(tmp_path, "view.xml.j2", "<x>{{ name }}</x>")
    assert templates.config("view", {"name": "a & b"})[0] == "<x>a &amp; b</x>"


def test_a_companys_template_may_use_our_pieces(tmp_path):
    text = "{% import 'macros.xml.j2' as part %}<x>{{ part.timer(spec) }}</x>"
    assert "<spec>H 3 * * *</spec>" in own(tmp_path, "mine.xml.j2", text).config("mine", {"spec": "H 3 * * *"})[0]


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
