"""Templates at compile: values stay in their place, types are kept, and no source can do harm."""

import resource
import shlex
import signal
import subprocess

import pytest
import yaml

from jenkins_ami.compile.template import parse_config, render_config, render_text
from jenkins_ami.errors import InputError, Location
from jenkins_ami.findings import InvalidSource

EVIL = "a 'b' \"c\" $(touch x) `touch y` ; \\ \t* #: - [}"
VALUES = {
    "name": "web",
    "version": "1.10",
    "parameters": {"flavour": "sweet", "count": 3, "debug": True, "items": "mine", "evil": EVIL},
}


def config(text, values=VALUES):
    return render_config(parse_config(text, "x.j2"), values, text).plain()


def script(text, values=VALUES):
    return render_text(text, values, Location("x.j2", 1, 1), quote="shell")


def refused(render, *args):
    with pytest.raises(InputError) as caught:
        render(*args)
    errors = caught.value.findings if isinstance(caught.value, InvalidSource) else [caught.value]
    return [error.line() for error in errors]


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'{{ parameters.count }}'", 3),
        ("'{{ parameters.debug }}'", True),
        ("'{{ not parameters.debug }}'", False),
        ("'{{ parameters.count + 1 }}'", 4),
        ("'{{ version }}'", "1.10"),
        ("'{{ \"3\" }}'", "3"),
        ("'{{ 1.5 }}'", "1.5"),
        ("'{{ version | int }}'", 1),
        ("' {{ parameters.count }}'", " 3"),
        ("'n={{ parameters.count }}'", "n=3"),
        ("'{{ parameters.count }}{{ parameters.count }}'", "33"),
        ("'debug={{ parameters.debug }}'", "debug=true"),
        ("'{% if parameters.debug %}on{% else %}off{% endif %}'", "on"),
        ("'{{ parameters.items }}'", "mine"),
        ("'{{ parameters[\"items\"] }}'", "mine"),
        ("'{{ parameters.flavour | upper }}'", "SWEET"),
        ("'{% raw %}{{ x }}{% endraw %}'", "{{ x }}"),
        ("'{# nothing #}'", ""),
        ("'{{ \"none\" if parameters.flavour is defined else 1 }}'", "none"),
        ("plain", "plain"),
        ("5", 5),
        ("!!binary aGVsbG8=", b"hello"),
        ("|\n  {% for n in range(2) %}\n  line {{ n }}\n  {% endfor %}\n  end\n", "line 0\nline 1\nend\n"),
    ],
)
def test_a_text_is_rendered_after_parsing_and_one_expression_keeps_its_type(text, value):
    assert config(f"k: {text}") == {"k": value}


def test_no_value_becomes_yaml_structure():
    rendered = config("a: '{{ parameters.evil }}'\n'k{{ parameters.evil }}': ['{{ parameters.evil }}']\n")
    assert rendered == {"a": EVIL, "k" + EVIL: [EVIL]}
    assert yaml.safe_load(yaml.safe_dump(rendered)) == rendered


def test_keys_are_rendered_and_keep_their_places():
    text = "users:\n  '{{ name }}': 1\n"
    document = render_config(parse_config(text, "f"), VALUES, text)
    assert document.plain() == {"users": {"web": 1}}
    assert document.value["users"].keys == {"web": Location("f", 2, 3)}


def test_an_alias_is_rendered_once_and_stays_one_node():
    text = "a: &x ['{{ name }}']\nb: *x\n"
    document = render_config(parse_config(text, "f"), VALUES, text)
    assert document.value["a"] is document.value["b"]


def test_aliases_of_aliases_do_not_take_forever():
    lines = ["l0: &l0 ['{{ name }}']"] + [f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, 15)]
    assert config("\n".join(lines))["l1"] == [["web"], ["web"]]


# Shell


def test_a_value_is_one_word_for_a_shell_whatever_is_in_it(tmp_path):
    text = script("set -- {{ parameters.evil }} x{{ parameters.evil }}\nfor a; do printf '%s\\n' \"$a\"; done\n")
    done = subprocess.run(["sh", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{EVIL}\nx{EVIL}\n"
    assert list(tmp_path.iterdir()) == []


def test_literals_numbers_and_booleans_are_words_too():
    assert script("f {{ 'a b' }} {{ parameters.count }} {{ parameters.debug }} {{ '' }}") == "f 'a b' 3 true ''"


def test_blocks_leave_no_empty_lines_and_the_end_stays():
    text = (
        "#!/bin/sh\n{% for n in range(2) %}\n  echo {{ n }}\n{% endfor %}\n{% if not parameters.debug "
        "%}\nno\n{% endif %}\n"
    )
    assert script(text) == "#!/bin/sh\n  echo 0\n  echo 1\n"


def test_without_quoting_a_text_is_rendered_as_it_is():
    assert render_text("{{ parameters.evil }}", VALUES, Location("f", 1, 1)) == EVIL


SAFE = [
    "# don't\nf {{ name }}\n",
    "f 'a' \"b\" {{ name }}\n",
    'f \\" {{ name }}\n',
    "f $'it\\'s' {{ name }}\n",
    'f "it\'s" {{ name }}\n',
    "f 'say \"' {{ name }}\n",
    'f "\\"" {{ name }}\n',
    "f {% raw %}${#x}{% endraw %} $# {{ name }}\n",
    "f a#'b' {{ name }}\n",
    "cat <<E\nit's\nE\nf {{ name }}\n",
    "cat <<-'E' >x\n\tit's\n\tE\nf {{ name }}\n",
    "cat <<A <<\"B\"\n'\nA\n'\nB\nf {{ name }}\n",
    "cat <<\\E\n'\nE\nf {{ name }}\n",
    "cat <<<word\nf {{ name }}\n",
    "f $((1<<n)) {{ name }}\n",
    "f $(g {{ name }})\n",
    "f 'a\nb' {{ name }}\n",
    '{% raw %}"{{ name }}"{% endraw %} {{ name }}',
]


@pytest.mark.parametrize("text", SAFE)
def test_a_place_outside_of_quotes_is_recognised(text):
    assert script(text).rstrip(")\n").endswith("web")


def test_what_the_quotes_tracker_says_is_what_a_shell_does():
    """A word that must be one argument, at each place that counts as outside."""
    for text in SAFE[:-1]:
        if text.startswith(("#", "cat")):
            continue
        marked = script(text.replace("{{ name }}", "{{ parameters.evil }}"))
        assert shlex.quote(EVIL) in marked
        shell = f"n=1; f() {{ for a; do :; done; printf '%s' \"$a\"; }}\ng() {{ printf '%s' \"$1\" >&2; }}\n{marked}"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert EVIL in done.stdout + done.stderr


QUOTED = [
    ('f "{{ name }}"\n', 1, "double quotes"),
    ("f '{{ name }}'\n", 1, "single quotes"),
    ("\nf $'{{ name }}'\n", 2, "single quotes"),
    ('f "a $(g {{ name }})"\n', 1, "double quotes"),
    ("f `g {{ name }}`\n", 1, "backticks"),
    ("cat <<E\n{{ name }}\nE\n", 2, "a here-document"),
    ("cat <<-'E'\n\t{{ name }}\n\tE\n", 2, "a here-document"),
    ('f "\n\n{{ name }}"\n', 3, "double quotes"),
    ('f "{% if parameters.debug %}{{ name }}{% endif %}"\n', 1, "double quotes"),
    ("f a\\\\'{{ name }}'\n", 1, "single quotes"),
]


@pytest.mark.parametrize(("text", "line", "inside"), QUOTED)
def test_quotes_around_an_expression_are_refused(text, line, inside):
    place = f"x.j2:{line}" + (":1" if line == 1 else "")
    assert refused(script, text) == [
        f"{{{{ … }}}} is one quoted word already, and stands in {inside} ({place}). "
        "Assign it first, without quotes: name={{ … }}."
    ]


# What is refused


KNOWN = "Known: name, parameters, version"
BAD = [
    ("\n\n{{ nothing }}", "template: there is no 'nothing' (x.j2:3). Known: name, parameters, version."),
    ("{{ versoin }}", "template: there is no 'versoin' (x.j2:1:1). Did you mean 'version'."),
    (
        "{{ parameters.flavor }}",
        "template: parameters has no 'flavor' (x.j2:1:1). Did you mean 'flavour'. Secrets are for compile.sh only.",
    ),
    (
        "{% if parameters.flavor %}{% endif %}",
        "template: parameters has no 'flavor' (x.j2:1:1). Did you mean 'flavour'. Secrets are for compile.sh only.",
    ),
    ("{{ name.foo }}", "template: a text has no 'foo' (x.j2:1:1)."),
    ("{% if %}", "invalid template: Expected an expression, got 'end of statement block' (x.j2:1:1)."),
    (
        "a\n{% if name %}\n",
        "invalid template: Unexpected end of template. Jinja was looking for the following tags: 'elif' "
        "or 'else' or 'endif'. The innermost block that needs to be closed is 'if' (x.j2:2).",
    ),
    ("{{ name", "invalid template: unexpected end of template, expected 'end of print statement' (x.j2:1:1)."),
    (
        "f ${#x}",
        "invalid template: Missing end of comment tag (x.j2:1:1). "
        "In templates, '{#' begins a comment: put {% raw %} and {% endraw %} around ${#…}.",
    ),
    ("{{ name | nofilter }}", "invalid template: No filter named 'nofilter' (x.j2:1:1)."),
    ("{{ name | random }}", "invalid template: No filter named 'random' (x.j2:1:1)."),
    ("{% include '/etc/passwd' %}", "template: it cannot read another file (x.j2:1:1)."),
    ("{% import 'x' as x %}", "template: it cannot read another file (x.j2:1:1)."),
    ("{% extends 'x' %}", "template: it cannot read another file (x.j2:1:1)."),
    ("{{ ''.__class__ }}", "template: access to attribute '__class__' of 'str' object is unsafe (x.j2:1:1)."),
    (
        "{{ parameters._values }}",
        "template: access to attribute '_values' of '_Namespace' object is unsafe (x.j2:1:1).",
    ),
    (
        "{{ '{0.__class__}'.format(1) }}",
        "template: access to attribute '__class__' of 'int' object is unsafe (x.j2:1:1).",
    ),
    ("x\n{{ 1 / 0 }}", "template: an expression fails: division by zero (x.j2:2)."),
    ("{{ 'a' + 1 }}", 'template: an expression fails: can only concatenate str (not "int") to str (x.j2:1:1).'),
    ("{{ none }}", "template: an expression fails: nothing cannot be written as one value (x.j2:1:1)."),
    ("{{ [1] }}", "template: an expression fails: a list cannot be written as one value (x.j2:1:1)."),
    ("{{ parameters }}", "template: an expression fails: a group of values cannot be written as one value (x.j2:1:1)."),
    (
        "{{ name.upper }}",
        "template: an expression fails: a builtin_function_or_method cannot be written as one value (x.j2:1:1).",
    ),
    (
        "#!/usr/bin/env python3\n",
        "a template of a script is for shells, and python3 does not read what is quoted for them "
        "(x.j2:1:1). Write the values to a file in a .sh.j2, and read them from there.",
    ),
    (
        "{% for n in range(99999) %}xxxxxxxxxxxx{% endfor %}",
        "the template renders more than 1,000,000 characters (x.j2:1:1).",
    ),
    ("{{ 'x' * 10**12 }}", "the template needs more memory than a template may (x.j2:1:1)."),
    ("{{ '%0999999999999d' % 1 }}", "the template needs more memory than a template may (x.j2:1:1)."),
    (
        "{% set x = 'x' * 99 %}" + "{% set x = x ~ x %}" * 60,
        "the template needs more memory than a template may (x.j2:1:1).",
    ),
    ("{{ 9 ** (9 ** 9) }}", "template: the number becomes too large (x.j2:1:1)."),
    ("{% set x = 3 %}" + "{% set x = x * x %}" * 60, "template: the number becomes too large (x.j2:1:1)."),
    ("{{ 1 | round(10 ** 9) }}", "invalid template: No filter named 'round' (x.j2:1:1)."),
    (
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "the template needs more depth than a template may (x.j2:1:1).",
    ),
    (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "the template needs more time than a template may (x.j2:1:1).",
    ),
    (
        "{{ range(10 ** 9) }}",
        "template: an expression fails: Range too big. The sandbox blocks ranges larger than MAX_RANGE "
        "(100000) (x.j2:1:1).",
    ),
]


@pytest.mark.parametrize(("text", "line"), BAD, ids=[text[:40] for text, _ in BAD])
def test_a_script_that_cannot_be_rendered_is_refused_with_its_line(text, line):
    assert refused(script, text) == [line]


BAD_YAML = [
    (
        "a: {{ name }}\n",
        "a key cannot be a list or a mapping (x.j2:1:5). "
        "A template's file is YAML before it is rendered: put quotes around the text with {{ … }}.",
    ),
    (
        "a: 1\na: 2\n",
        "key 'a' is given twice, first in line 1 (x.j2:2:1). "
        "YAML readers keep only the last; remove one, or merge the two.",
    ),
    ("a:\n  - '{{ nothing }}'\n", "template: there is no 'nothing' (x.j2:2:5). Known: name, parameters, version."),
    ("a: |\n  one\n  {{ nothing }}\n", "template: there is no 'nothing' (x.j2:3). Known: name, parameters, version."),
    (
        "a: &x !!str >-\n  {{ nothing }}\n",
        "template: there is no 'nothing' (x.j2:2). Known: name, parameters, version.",
    ),
    ("'{{ nothing }}': 1\n", "template: there is no 'nothing' (x.j2:1:1). Known: name, parameters, version."),
    ("a: '{{ name'\n", "invalid template: unexpected end of template, expected 'end of print statement' (x.j2:1:4)."),
    ("a: 1\nweb: 1\n'{{ name }}': 2\n", "key 'web' is given twice once it is rendered, first in line 2 (x.j2:3:1)."),
    ("3: 1\n'{{ parameters.count }}': 2\n", "key '3' is given twice once it is rendered, first in line 1 (x.j2:2:1)."),
    ("a: '{{ [1] }}'\n", "template: an expression fails: a list cannot be written as one value (x.j2:1:4)."),
    (
        "a: '{{ \"x\" * 600000 }}'\nb: '{{ \"x\" * 600000 }}'\n",
        "the template renders more than 1,000,000 characters (x.j2:2:4).",
    ),
]


@pytest.mark.parametrize(("text", "line"), BAD_YAML, ids=[text[:40] for text, _ in BAD_YAML])
def test_a_document_that_cannot_be_rendered_is_refused_with_its_line(text, line):
    assert refused(config, text) == [line]


def test_a_block_around_yaml_lines_is_refused_with_what_blocks_are_for():
    (line,) = refused(config, "a: 0\n{% if name %}\nb: 1\n{% endif %}\n")
    assert line.startswith("invalid YAML: ")
    assert line.endswith(
        " (x.j2:2:2). A template's file is YAML before it is rendered: {% … %} works inside one text only."
    )


def test_all_that_is_wrong_in_a_document_is_told_at_once():
    assert len(refused(config, "a: '{{ x }}'\nb: ['{{ y }}', '{{ 1 / 0 }}']\n'{{ z }}': 1\n")) == 4


def test_a_source_without_parameters_says_so():
    assert refused(script, "{{ parameters.x }}", {"name": "web", "parameters": {}}) == [
        ("template: parameters has no 'x' (x.j2:1:1). The source declares none. Secrets are for compile.sh only.")
    ]


def test_bounds_are_lifted_again_whatever_happened():
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)
    refused(script, "{{ 'x' * 10**12 }}")
    script("{{ name }}")
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
