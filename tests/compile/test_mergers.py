"""Merging by what the parts state means exactly what cloud-init's own code makes of it."""

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jenkins_ami.compile.merge import Document, merge, stated_mergers
from jenkins_ami.errors import InputError, Location
from jenkins_ami.findings import Findings
from jenkins_ami.yamlfile import parse

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "x", "yy", "z z"]))
KEYS = st.sampled_from(["a", "b", "c", "runcmd"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)
OPTIONS = {
    "dict": ["replace", "no_replace", "recurse_str", "recurse_array", "recurse_list", "recurse_dict", "allow_delete"],
    "list": ["append", "prepend", "replace", "no_replace", "recurse_str", "recurse_dict", "recurse_array"],
    "str": ["append", "replace"],
}


@st.composite
def merge_how(draw):
    """A statement in one of its forms, always with a dict merger: without one cloud-init drops the part."""
    others = draw(st.lists(st.sampled_from(["list", "str", "dict"]), max_size=3))
    names = draw(st.permutations(["dict", *others]))
    pairs = [(name, draw(st.lists(st.sampled_from(OPTIONS[name]), max_size=3, unique=True))) for name in names]
    form = draw(st.sampled_from(["text", "lists", "mappings", "mappings with text", "spaced"]))
    if form == "text":
        return "+".join(f"{name}({','.join(options)})" for name, options in pairs)
    if form == "spaced":
        return " + ".join(f"{name.upper()}( {' , '.join(options)} )" for name, options in pairs)
    if form == "lists":
        return [[name, *options] for name, options in pairs]
    if form == "mappings":
        return [{"name": name, "settings": options} for name, options in pairs]
    return [{"name": name, "settings": " ".join(options)} for name, options in pairs]


@st.composite
def parts(draw):
    found = []
    for document in draw(st.lists(DOCUMENTS, min_size=1, max_size=4)):
        key = draw(st.sampled_from(["merge_how", "merge_type"]))
        found.append({**document, key: draw(merge_how())})
    return found


def ours(texts: list[str]) -> dict:
    findings = Findings()
    documents = []
    for number, text in enumerate(texts):
        node = parse(text, f"{number}.yml")
        documents.append(Document(*stated_mergers(node, "", Location(f"{number}.yml", 1), findings)))
    merged = merge(documents, findings)
    findings.raise_errors()
    return merged.plain()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts())
def test_random_documents_and_mergers_come_to_what_cloud_init_makes_of_them(judge, documents):
    texts = ["#cloud-config\n" + yaml.safe_dump(document, sort_keys=False) for document in documents]
    try:
        got = ours(texts)
    except InputError as error:
        # cloud-init makes elements of a text's characters or a mapping's keys; or fails, and drops the part
        assert "takes it apart" in error.what or "with which cloud-init fails" in error.what
        return
    assert got == judge.config(*(text.encode() for text in texts))
