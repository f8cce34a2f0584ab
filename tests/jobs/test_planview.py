"""A plan for people, for programs, and as a page: nothing of it breaks out, nothing of it is lost."""

import json
import re
from html.parser import HTMLParser

from jenkins_ami.jobs.model import Item, LiveItem
from jenkins_ami.jobs.plan import Change, Plan
from jenkins_ami.jobs.planview import as_html, as_json, as_text, summary

HOSTILE = "x</script><script>alert(1)</script>\"'&]]>\x1b[31m\u202e${jndi:x}"
DIFF = ("--- in Jenkins", "+++ wanted", "@@ -1,2 +1,2 @@", " flow-definition", "-  a: <b>1</b>", "+  a: 2")


def change(action, *path, **more):
    return Change(action, path, "build", **more)


PLAN = Plan(
    "amis",
    ("amis",),
    (
        change("create", "amis", "new"),
        change("update", "amis", "old", diff=DIFF, notes=("its Jenkinsfile owns TimerTrigger",)),
        change("drifted", "amis", "edited", diff=DIFF),
        change("unchanged", "amis", "same"),
        change("delete", "amis", HOSTILE),
        change("foreign", "amis", "theirs", notes=("is b-team's",)),
    ),
)


def test_a_line_for_each_change_and_the_summary_last():
    assert as_text(PLAN) == [
        "+ amis/new  to create [build]",
        "~ amis/old  to update [build]  (its Jenkinsfile owns TimerTrigger)",
        "    @@ -1,2 +1,2 @@",
        "     flow-definition",
        "    -  a: <b>1</b>",
        "    +  a: 2",
        "! amis/edited  drifted [build]",
        "    @@ -1,2 +1,2 @@",
        "     flow-definition",
        "    -  a: <b>1</b>",
        "    +  a: 2",
        "- amis/x</script><script>alert(1)</script>\"'&]]>\\x1b[31m\\u202e${jndi:x}  to delete [build]",
        "? amis/theirs  foreign [build]  (is b-team's)",
        "Plan: 1 to create, 1 to update, 1 drifted, 1 to delete, 1 unchanged, 1 foreign.",
    ]


def test_colours_only_when_asked_and_never_from_a_name():
    assert not any("\x1b" in line for line in as_text(PLAN))
    assert as_text(PLAN, color=True)[0] == "\x1b[32m+ amis/new  to create [build]\x1b[0m"


def test_why_nothing_is_deleted_is_said():
    assert "Discovery was not complete: nothing is deleted." in as_text(Plan("a", ("a",), (), complete=False))
    assert "Only a part was looked at: nothing is deleted." in as_text(Plan("a", ("a",), (), filtered=True))


def test_an_empty_plan_has_a_summary():
    assert summary(Plan("a", ("a",), ())) == "nothing to do, and nothing there"


def test_the_json_holds_all_of_it():
    data = json.loads(json.dumps(as_json(PLAN)))
    assert data["differs"] is True and data["counts"]["create"] == 1
    assert data["changes"][1] == {
        "action": "update",
        "path": ["amis", "old"],
        "kind": "build",
        "source": "",
        "diff": list(DIFF),
        "notes": ["its Jenkinsfile owns TimerTrigger"],
    }
    assert data["changes"][4]["path"] == ["amis", HOSTILE]


def test_the_source_of_a_change_is_in_the_json():
    item = Item(("a",), "build", "<x/>", "0" * 16, "r:images")
    found = as_json(Plan("a", ("a",), (change("create", "a", item=item, live=LiveItem(("a",), "x")),)))
    assert found["changes"][0]["source"] == "r:images"


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.open = [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_all_and_holds_no_script_and_no_resource():
    page = Page()
    text = as_html(PLAN, f"Plan for {HOSTILE}")
    page.feed(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"(src|href)=|url\(|@import", text)
    assert "amis/x</script><script>alert(1)</script>\"'&]]>\\x1b[31m\\u202e${jndi:x}" in page.text
    assert "-  a: <b>1</b>" in page.text
    assert page.tags.count("details") == 2


def test_a_page_without_changes_says_so():
    assert "nothing" in as_html(Plan("a", ("a",), ()), "t")


def test_nothing_of_the_page_steers_or_turns_text():
    hostile = Plan(f"a{HOSTILE}", (HOSTILE,), (Change("foreign", ("x",), HOSTILE, notes=(HOSTILE,)),))
    for text in (as_html(hostile, HOSTILE), "\n".join(as_text(hostile))):
        assert "\u202e" not in text and "\x1b" not in text
    assert "<script" not in as_html(hostile, HOSTILE)
