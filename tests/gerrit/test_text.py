"""Texts of strangers, judged by a parser of Markdown: markdown-it, which comes with rich."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jenkins_ami.gerrit.message import LIMIT, message_of, note_text
from jenkins_ami.gerrit.text import block, code, cut, length, prose, sentence
from jenkins_ami.verification import BROKEN, FAILED, PASSED, Boot, Note, Verification, VerifiedSource

from .verifications import error, source

HOSTILE = [
    "<script>alert(1)</script> & <img src=x onerror=alert(1)>",
    "[click me](https://evil.example/x) ![i](http://evil.example/i.png)",
    "https://evil.example/?a=b http://localhost/x www.evil.example //evil.example/x ftp://evil.example",
    "`code` ``more`` ```suggestion\nrm -rf /\n```",
    "# heading\n\n- a list\n1. and\n> a quote\n\n---\n\n    code",
    "**bold** __bold__ *it* _it_ ~~no~~ a_b_c _x y_",
    "@admin@example.com please approve, cc @root",
    "<GERRIT_ACCOUNT_1000000> said: <gerrit_account_1>",
    "$(id) `id` ${IFS} '; DROP TABLE x; -- \" \\",
    "a\x1b[31mred\x1b[0m\x00\x07\x08\x7f\r\n\tb",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200b\u00ad\ufeff",
    "\udcff\udc80 bytes \ud800",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "[ref]: https://evil.example\n\n[ref] [^1]",
    "Patch Set 9: Verified+1 Code-Review+2\n\n(3 comments)",
    "===\n---\n+++\n***",
    "&lt;b&gt; &#60;i&#62;",
    "x" * 20_000,
    "\N{GRINNING FACE}" * 9_000,
]
PLAIN = {"paragraph_open", "inline", "paragraph_close", "code_block"}
INLINE = {"text", "code_inline", "softbreak"}
LINKED = re.compile(r"//|www\.|@\w|\w\.\w*[^\W\d]\w*")
"""What Gerrit (or a newer one) would make a link or a mention of, outside of code."""

texts = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(alphabet="`*_[]()<>#>-+1.! \n\t\\a&;:/@|~=\"'{}$"))


def parsed(text: str) -> list[tuple[str, str]]:
    """What Gerrit's page makes of a text: kinds of things, and what is in them.

    As ``gr-formatted-text`` does, HTML is escaped first.
    """
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(html.escape(text, quote=False)):
        assert token.type in PLAIN, (token.type, text)
        if token.type == "code_block":
            found.append(("code_block", html.unescape(token.content)))
        for child in token.children or ():
            assert child.type in INLINE, (child.type, text)
            found.append((child.type, html.unescape(child.content)))
    return found


def check(text: str) -> list[tuple[str, str]]:
    found = parsed(text)
    for kind, content in found:
        if kind == "text":
            assert not LINKED.search(content), content
        assert all(char.isprintable() or char in "\n\t" for char in content), ascii(content)
    assert "<gerrit_account_" not in text.lower()
    return found


@settings(deadline=None)
@given(texts)
def test_prose_is_text_and_code(text: str) -> None:
    found = check(prose(text))
    assert all(kind in ("text", "code_inline") for kind, _ in found)


@settings(deadline=None)
@given(texts)
def test_code_is_code(text: str) -> None:
    if text.strip(" \t\r\n"):
        assert [kind for kind, _ in check(code(text))] == ["code_inline"]


@settings(deadline=None)
@given(st.lists(texts, min_size=1))
def test_nothing_gets_out_of_a_block(lines: list[str]) -> None:
    text = "\n".join(["Before:", "", *block(lines), "", "After."])
    found = check(text)
    assert found[0] == ("text", "Before:") and found[-1] == ("text", "After.")
    assert {kind for kind, _ in found[1:-1]} <= {"code_block"}


@settings(deadline=None)
@given(texts, texts, texts, texts)
def test_a_whole_message_is_text_code_and_blocks(one: str, two: str, three: str, four: str) -> None:
    hostile = VerifiedSource(
        folder=one,
        outcome=PASSED,
        name=two,
        version=three,
        reason=four,
        notes=(Note(one, two, three, hint=four, path=one),),
        parent=two,
        counts={one: {two: 3}},
        changes=(three, four),
        boot=Boot(two, three),
    )
    for outcome in ("passed", "failed", "skipped", "broken"):
        verification = Verification("a" * 40, outcome, reason=one, subject=two, sources=(hostile, hostile))
        check(message_of(verification, findings=hostile.notes))
    check(note_text(hostile.notes[0]))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_meant_badly_stays_text(text: str) -> None:
    check(sentence(text))
    check(message_of(Verification("a" * 40, "broken", reason=text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("there is no cloud-config key 'pakages'", "there is no cloud-config key 'pakages'"),
        ("version 1.2 of 3 (10 %, a/b, x=y)", "version 1.2 of 3 (10 `%,` a/b, x=y)"),
        ("see cloudinit/10_a.yml:2 now", "see `cloudinit/10_a.yml:2` now"),
        ("write_files must be a list", "write_files must be a list"),
        ("a `b` c", "a `'b'` c"),
        ("- no list", "`-` no list"),
        ("2. no list", "`2.` no list"),
        ("http://localhost/x", "`http://localhost/x`"),
        ("one  two\nthree", "one two three"),
        ("", ""),
    ],
)
def test_prose_reads_like_prose(text: str, said: str) -> None:
    assert prose(text) == said


@pytest.mark.parametrize(
    ("text", "said"), [("it fails", "it fails."), ("it fails.", "it fails."), ("and so on…", "and so `on…`.")]
)
def test_a_sentence_ends_with_one_full_stop(text: str, said: str) -> None:
    assert sentence(text) == said


def test_length_is_counted_as_java_does() -> None:
    assert (length("ä"), length("\N{GRINNING FACE}"), length("\udc80")) == (1, 2, 1)


def test_what_is_cut_ends_with_an_ellipsis() -> None:
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")


@pytest.mark.parametrize("count", [1, 3, 400])
def test_a_message_is_never_longer_than_gerrit_takes(count: int) -> None:
    lines = tuple("\N{GRINNING FACE}" * 500 for _ in range(500))
    notes = tuple(Note("r", "error", "y" * 900, path="p" * 300) for _ in range(300))
    big = source(changes=lines, reason="r" * 9000, parent="p" * 9000, name="n" * 900, folder="f" * 900)
    verification = Verification("a" * 40, "failed", reason="x" * 9000, sources=(big,) * count)
    text = message_of(verification, link="https://ci.example/1", findings=notes)
    assert length(text) <= LIMIT
    assert "more lines" in text and text.endswith("More: https://ci.example/1")
    assert ("more AMI sources." in text) == (count == 400)


def test_a_source_that_could_not_be_verified_says_why_beside_one_that_failed() -> None:
    odd = source(outcome=BROKEN, name="db", folder="db", reason="bubblewrap is missing", boot=None)
    both = Verification("a" * 40, FAILED, reason="1 error", sources=(source(error()), odd))
    assert "Not verified: bubblewrap is missing." in message_of(both)
