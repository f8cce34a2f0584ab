"""config.xml read tolerantly and written strictly."""

from xml.etree import ElementTree

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.jobs.xmltree import carries_control, is_saved, parse, serialize
from tests.jenkins.recorded import RECORDINGS

CONFIGS = sorted((RECORDINGS / "config").glob("*.xml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recorded_document_is_read_whatever_its_version(path):
    root = parse(path.read_text())
    again = parse(serialize(root))
    assert ElementTree.tostring(again) == ElementTree.tostring(root)


@pytest.mark.parametrize("path", [path for path in CONFIGS if "listview" not in path.stem], ids=lambda path: path.stem)
def test_what_a_server_saved_is_told_from_what_was_posted(path):
    text = path.read_text()
    if ".saved" in path.suffixes or path.stem.endswith(("saved", "after-build", "after-create-view")):
        assert is_saved(text)
    if path.stem.endswith("returned") and not path.stem.startswith("noise"):  # legacy elements make the server save
        assert not is_saved(text)


def test_a_control_reference_of_xml_1_1_is_carried_and_never_sent():
    root = parse("<?xml version='1.1'?><a><b>x&#x1b;[0m&#27;</b></a>")
    assert carries_control(root[0])
    with pytest.raises(InputError) as caught:
        serialize(root)
    assert caught.value.line().startswith("the control character U+001B cannot be sent to Jenkins.")


def test_tabs_and_line_ends_by_reference_are_what_they_are():
    assert parse("<a>x&#9;y&#10;z&#13;</a>").text == "x\ty\nz\r"


def test_texts_are_read_back_as_they_were_written():
    text = 'it\'s "q" ]]> <&> \r\n\t é日😀 &amp;'
    root = ElementTree.Element("a", {"k": 'v"\n<'})
    root.text = text
    again = parse(serialize(root))
    assert (again.text, again.attrib) == (text, root.attrib)


def test_it_is_declared_as_1_0_with_two_spaces():
    assert serialize(parse("<a><b/><c>1</c></a>")) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<a>\n  <b/>\n  <c>1</c>\n</a>\n'
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<a><b></a>", "not well-formed XML: mismatched tag in line 1, column 9"),
        ("", "not well-formed XML: no element found in line 1, column 1"),
        ("<a/>x", "not well-formed XML: junk after document element in line 1, column 5"),
        ("<a>&x;</a>", "not well-formed XML: undefined entity in line 1, column 4"),
    ],
)
def test_what_is_no_xml_is_told_with_its_place(text, what):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.what == what


def test_what_looks_like_a_control_reference_in_cdata_is_text():
    assert parse("<a><![CDATA[echo '&#27;']]></a>").text == "echo '&#27;'"
    root = parse("<a><b><![CDATA[&#27;]]></b><c>&#27;</c></a>")
    assert root.findtext("b") == "&#27;" and carries_control(root[1])
