"""What a plan says: every action, and what it must never do."""

from dataclasses import replace

import pytest

from jenkins_ami.jobs import mark
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.model import Desired, Item, Live, LiveItem
from jenkins_ami.jobs.plan import (
    FOLDER_CLASS,
    MULTIBRANCH_CLASS,
    PIPELINE_CLASS,
    VIEW_CLASS,
    Only,
    compute,
    interrupted,
    key,
    to_read,
)
from tests.jobs.sources import config, discovery, source

CLASSES = {"folder": FOLDER_CLASS, "multibranch": MULTIBRANCH_CLASS, "view": VIEW_CLASS}


@pytest.fixture
def wanted(tmp_path):
    return desired(config(tmp_path), discovery(source("a/b"), source("a/c")))[0]


def as_live(items, **descriptions):
    """What Jenkins has after all of ``items`` was applied."""
    there = [LiveItem(item.path, CLASSES.get(item.kind, PIPELINE_CLASS), described(item)) for item in items]
    kinds = {item.path: item.kind for item in items}
    return Live(
        {each.path: each for each in there if kinds[each.path] != "view"},
        {each.path: each for each in there if kinds[each.path] == "view"},
    )


def described(item, owner="amis", words=()):
    return f"words\n{mark.Mark(owner, item.digest, frozenset(words))}"


def changed(live, path, **values):
    path = tuple(path.split("/"))
    return replace(live, items={**live.items, path: replace(live.items[path], **values)})


def added(live, path, cls=PIPELINE_CLASS, description=""):
    path = tuple(path.split("/"))
    return replace(live, items={**live.items, path: LiveItem(path, cls, description)})


def without(wanted, prefix):
    path = tuple(prefix.split("/"))
    return replace(wanted, items=tuple(item for item in wanted.items if item.path[: len(path)] != path))


def configs(wanted, **changes):
    return {key(item): item.xml for item in wanted.items}


def actions(plan):
    return {change.name: change.action for change in plan.changes if change.action != "unchanged"}


def item_at(wanted, path):
    return next(item for item in wanted.items if "/".join(item.path) == path)


def test_an_empty_jenkins_gets_everything_parents_first(wanted):
    plan = compute(wanted, Live(), {})
    assert plan.counts() == {"create": len(wanted.items)}
    assert to_read(wanted, Live(), verify=True) == ()
    names = [change.name for change in plan.changes]
    assert names.index("amis") < names.index("amis/a") < names.index("amis/a/b") < names.index("amis/a/b/build")


def test_what_is_there_is_unchanged_and_nothing_is_read(wanted):
    live = as_live(wanted.items)
    assert to_read(wanted, live, verify=False) == ()
    plan = compute(wanted, live, {})
    assert plan.counts() == {"unchanged": len(wanted.items)} and not plan.differs()


def test_only_what_has_another_digest_is_read(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="w\n[jenkins-ami amis 0000000000000000]")
    assert to_read(wanted, live, verify=False) == (("amis", "a", "b", "build"),)


def test_another_digest_with_another_meaning_is_an_update(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="w\n[jenkins-ami amis 0000000000000000]")
    old = item_at(wanted, "amis/a/b/build").xml.replace("<numToKeep>30", "<numToKeep>3")
    plan = compute(wanted, live, {("amis", "a", "b", "build"): old})
    (change,) = plan.of("update")
    assert "+        numToKeep: 30" in change.diff and "-        numToKeep: 3" in change.diff
    assert plan.differs()


def test_another_digest_with_the_same_meaning_is_no_difference_and_the_mark_is_written(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="w\n[jenkins-ami amis 0000000000000000]")
    plan = compute(wanted, live, configs(wanted))
    (change,) = [each for each in plan.changes if each.refresh]
    assert change.name == "amis/a/b/build" and not plan.differs()


def test_a_change_by_hand_is_found_by_looking_and_only_so(wanted):
    live = as_live(wanted.items)
    edited = configs(wanted) | {("amis", "a", "b", "build"): item_at(wanted, "amis/a/b/build").xml.replace("60", "61")}
    assert compute(wanted, live, edited).counts() == {"unchanged": len(wanted.items)}
    assert len(to_read(wanted, live, verify=True)) == len(wanted.items)
    (change,) = compute(wanted, live, edited, verify=True).of("drifted")
    assert "-          timeout: 61," in change.diff


def test_a_deleted_job_is_created_again_without_looking(wanted):
    live = as_live([item for item in wanted.items if item.path[-1] != "build"])
    assert set(actions(compute(wanted, live, {})).values()) == {"create"}


def test_what_vanished_between_two_requests_is_created(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="[jenkins-ami amis 0000000000000000]")
    assert actions(compute(wanted, live, {})) == {"amis/a/b/build": "create"}


def test_after_a_killed_run_everything_is_looked_at(wanted):
    root = item_at(wanted, "amis")
    live = changed(as_live(wanted.items), "amis", description=described(root, words=[mark.APPLYING]))
    assert interrupted(wanted, live)
    assert len(to_read(wanted, live, verify=False)) == len(wanted.items)


def test_ours_that_nobody_wants_goes_children_first(wanted):
    plan = compute(without(wanted, "amis/a/c"), as_live(wanted.items), {})
    assert list(actions(plan).items()) == [
        ("amis/a/c/build", "delete"),
        ("amis/a/c/verify", "delete"),
        ("amis/a/c", "delete"),
    ]


def test_a_folder_with_something_foreign_in_it_stays(wanted):
    live = added(as_live(wanted.items), "amis/a/c/mine")
    plan = compute(without(wanted, "amis/a/c"), live, {})
    assert actions(plan) == {
        "amis/a/c/build": "delete",
        "amis/a/c/verify": "delete",
        "amis/a/c": "kept",
        "amis/a/c/mine": "foreign",
    }


def test_disabling_keeps_folders_and_is_done_once(wanted):
    less = without(wanted, "amis/a/c")
    plan = compute(less, as_live(wanted.items), {}, remove="disable")
    assert actions(plan) == {"amis/a/c/build": "disable", "amis/a/c/verify": "disable", "amis/a/c": "kept"}
    live = as_live(wanted.items)
    for name in ("amis/a/c/build", "amis/a/c/verify"):
        live = changed(live, name, description=described(item_at(wanted, name), words=[mark.DISABLED]))
    assert set(actions(compute(less, live, {}, remove="disable")).values()) == {"kept"}


def test_what_was_disabled_is_enabled_when_it_comes_back(wanted):
    item = item_at(wanted, "amis/a/c/build")
    live = changed(as_live(wanted.items), "amis/a/c/build", description=described(item, words=[mark.DISABLED]))
    assert to_read(wanted, live, verify=False) == (item.path,)
    (change,) = compute(wanted, live, configs(wanted)).of("update")
    assert change.notes == ("was disabled: it is enabled",)


def test_a_filtered_run_deletes_nothing(wanted):
    plan = compute(without(wanted, "amis/a/c"), as_live(wanted.items), {}, only=Only(("amis/a/b*",)))
    assert plan.filtered and plan.of("delete", "disable", "kept", "foreign") == ()


def test_a_filter_takes_paths_and_sources_and_the_folders_around(wanted):
    for glob in ("a/b", "amis/a/b/*"):
        names = [change.name for change in compute(wanted, Live(), {}, only=Only((glob,))).changes]
        assert names == ["amis", "amis/a", "amis/a/b", "amis/a/b/build", "amis/a/b/verify"], glob


def test_nothing_is_deleted_when_discovery_was_not_complete(wanted):
    plan = compute(replace(without(wanted, "amis/a/c"), complete=False), as_live(wanted.items), {})
    assert set(actions(plan).values()) == {"kept"} and not plan.complete


def test_the_jobs_of_a_broken_source_are_left_alone(wanted):
    less = replace(without(wanted, "amis/a/c"), kept=(("amis", "a", "c"),))
    plan = compute(less, as_live(wanted.items), {})
    assert actions(plan) == {"amis/a/c/build": "kept", "amis/a/c/verify": "kept", "amis/a/c": "kept"}


def test_folders_around_a_broken_source_stay_as_well(wanted):
    less = replace(without(wanted, "amis/a"), kept=(("amis", "a", "c"),))
    assert actions(compute(less, as_live(wanted.items), {}))["amis/a"] == "kept"


def test_jobs_of_other_people_are_never_touched(wanted):
    live = added(as_live(wanted.items), "amis/theirs", description="<!-- Managed by Jenkins Job Builder -->")
    live = added(live, "amis/others", description="[jenkins-ami b-team 0123456789abcdef]")
    plan = compute(wanted, live, {})
    assert actions(plan) == {"amis/others": "foreign", "amis/theirs": "foreign"}
    assert [change.notes for change in plan.of("foreign")] == [("is b-team's",), ()]
    assert not plan.differs()


def test_a_job_of_somebody_else_in_our_place_is_told_and_left(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="by hand")
    (change,) = compute(wanted, live, {}).of("foreign")
    assert (change.name, change.notes) == ("amis/a/b/build", ("is not ours: left alone",))


def test_a_folder_of_somebody_else_is_used_as_it_is(wanted):
    live = changed(as_live(wanted.items), "amis/a", description="by hand")
    (change,) = compute(wanted, live, {}).of("foreign")
    assert (change.name, change.notes) == ("amis/a", ("used as it is",))


def test_adopting_takes_over_jobs(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="by hand")
    assert to_read(wanted, live, verify=False, adopt=True) == (("amis", "a", "b", "build"),)
    (change,) = compute(wanted, live, configs(wanted), adopt=True).of("update")
    assert change.notes == ("was not ours: it is adopted",)


def test_a_root_folder_that_was_there_is_adopted_and_never_deleted(wanted):
    live = changed(as_live(wanted.items), "amis", description="IT's folder")
    (change,) = compute(wanted, live, configs(wanted)).of("update")
    assert change.notes == ("was there before: it is adopted",)
    adopted = changed(live, "amis", description=f"IT's\n{mark.Mark('amis', '0' * 16, frozenset({mark.ADOPTED}))}")
    nothing = Desired("amis", ("amis",), ())
    assert actions(compute(nothing, adopted, {}))["amis"] == "kept"


def test_a_job_of_another_type_is_replaced_and_that_is_a_removal(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/verify", cls=MULTIBRANCH_CLASS)
    (change,) = compute(wanted, live, {}).of("replace")
    assert "its history is lost" in change.notes[0]
    assert to_read(wanted, live, verify=True) and ("amis", "a", "b", "verify") not in to_read(wanted, live, verify=True)


def test_a_view_and_a_job_of_one_name_are_two_things(wanted):
    live = added(as_live(wanted.items), "amis/Builds")
    assert actions(compute(wanted, live, {})) == {"amis/Builds": "foreign"}
    assert compute(wanted, replace(live, views={}), {}).of("create")[0].is_view


def test_a_view_that_nobody_wants_goes_when_it_is_ours(wanted):
    less = replace(wanted, items=tuple(item for item in wanted.items if item.kind != "view"))
    live = as_live(wanted.items)
    theirs = ("amis", "Theirs")
    live = replace(live, views={**live.views, theirs: LiveItem(theirs, VIEW_CLASS, "")})
    assert actions(compute(less, live, {})) == {"amis/Builds": "delete", "amis/Changes": "delete"}


def test_what_cannot_be_compared_is_told_and_updated(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="[jenkins-ami amis 0000000000000000]")
    (change,) = compute(wanted, live, {("amis", "a", "b", "build"): "<oops"}).of("update")
    assert change.notes[0].startswith("what Jenkins has cannot be compared: not well-formed XML")


def test_what_a_jenkinsfile_owns_is_told(wanted):
    item = item_at(wanted, "amis/a/b/build")
    base = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction"
    actions_ = f"<actions><{base}><triggers><string>hudson.triggers.TimerTrigger</string></triggers></{base}></actions>"
    text = item.xml.replace("<keepDependencies>", f"{actions_}<keepDependencies>")
    (change,) = [
        each
        for each in compute(wanted, as_live(wanted.items), configs(wanted) | {item.path: text}, verify=True).changes
        if each.notes
    ]
    assert change.notes == ("its Jenkinsfile owns TimerTrigger",)


def test_it_converges(wanted):
    # what apply wrote is what the next plan finds, also for jobs that do not say whether they are disabled
    live = as_live(wanted.items)
    saved = {k: text.replace("<disabled>false", "<disabled>true") for k, text in configs(wanted).items()}
    assert not compute(wanted, live, saved, verify=True).differs()


def test_ten_thousand_items_are_compared():
    items = tuple(Item(("r", f"j{n}"), "build", "<flow-definition/>", "0" * 16) for n in range(10_000))
    wanted = Desired("o", ("r",), items)
    live = Live({item.path: LiveItem(item.path, PIPELINE_CLASS, f"[jenkins-ami o {item.digest}]") for item in items})
    assert compute(wanted, live, {}).counts() == {"unchanged": 10_000}


def test_adopting_takes_nothing_from_another_owner(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/build", description="[jenkins-ami b-team 0123456789abcdef]")
    (change,) = compute(wanted, live, configs(wanted), adopt=True).of("foreign")
    assert change.notes == ("is b-team's: left alone",)


def test_a_folder_with_something_foreign_or_kept_in_it_is_not_replaced(wanted):
    live = changed(as_live(wanted.items), "amis/a/b/verify", cls=FOLDER_CLASS)
    assert actions(compute(wanted, live, {})) == {"amis/a/b/verify": "replace"}
    (change,) = compute(wanted, added(live, "amis/a/b/verify/mine"), {}).of("kept")
    assert change.notes[1] == "it holds amis/a/b/verify/mine"
    view = ("amis", "a", "b", "verify", "Mine")
    (change,) = compute(wanted, replace(live, views={**live.views, view: LiveItem(view, VIEW_CLASS)}), {}).of("kept")
    assert change.notes[1] == "it holds amis/a/b/verify/Mine"


@pytest.mark.parametrize(
    ("options", "complete", "why"),
    [
        ({"only": Only(("a/b",))}, True, "a filtered run deletes nothing"),
        ({}, False, "discovery was not complete"),
        ({"remove": "disable"}, True, "nothing is to be deleted"),
    ],
)
def test_nothing_is_replaced_where_nothing_is_deleted(wanted, options, complete, why):
    live = changed(as_live(wanted.items), "amis/a/b/verify", cls=MULTIBRANCH_CLASS)
    (change,) = compute(replace(wanted, complete=complete), live, {}, **options).of("kept")
    assert change.notes[1] == why


def test_what_lies_in_a_folder_whose_place_is_taken_is_not_created(wanted):
    live = as_live([item for item in wanted.items if item.path[:3] != ("amis", "a", "b")])
    plan = compute(wanted, added(live, "amis/a/b"), {})
    assert actions(plan) == dict.fromkeys(["amis/a/b", "amis/a/b/build", "amis/a/b/verify"], "foreign")
    assert plan.of("foreign")[1].notes == ("something else is where its folder should be",)


def test_a_folder_with_a_view_of_somebody_stays_and_the_view_that_jenkins_adds_counts_for_nothing(wanted):
    less = without(wanted, "amis/a/c")
    path = ("amis", "a", "c", "x")
    for cls, action in (("hudson.model.AllView", "delete"), (VIEW_CLASS, "kept")):
        live = as_live(wanted.items)
        live = replace(live, views={**live.views, path: LiveItem(path, cls)})
        assert actions(compute(less, live, {}))["amis/a/c"] == action


def test_a_view_is_neither_deleted_with_a_broken_source_nor_where_disabling_is_asked_for(wanted):
    less = replace(wanted, items=tuple(item for item in wanted.items if item.kind != "view"))
    live = as_live(wanted.items)
    assert set(actions(compute(less, live, {}, remove="disable")).values()) == {"kept"}
    path = ("amis", "a", "x")
    live = replace(live, views={path: LiveItem(path, VIEW_CLASS, "[jenkins-ami amis 0123456789abcdef]")})
    assert actions(compute(replace(less, kept=(("amis", "a"),)), live, {}))["amis/a/x"] == "kept"


def test_the_root_folder_and_those_around_it_are_never_deleted():
    mine = "[jenkins-ami o 0123456789abcdef]"
    live = Live({path: LiveItem(path, FOLDER_CLASS, mine) for path in [("r",), ("r", "s"), ("r", "s", "old")]})
    assert actions(compute(Desired("o", ("r", "s"), ()), live, {})) == {
        "r/s/old": "delete",
        "r/s": "kept",
        "r": "kept",
    }


def test_after_a_killed_run_the_root_folder_says_so_until_it_is_written(wanted):
    root = item_at(wanted, "amis")
    live = changed(as_live(wanted.items), "amis", description=described(root, words=[mark.APPLYING]))
    plan = compute(wanted, live, configs(wanted))
    assert [change.name for change in plan.changes if change.refresh] == ["amis"] and not plan.differs()


def test_a_job_of_a_companys_own_template_is_of_the_type_that_its_document_says():
    item = Item(("r", "x"), "build", "<project><builders/></project>", "0" * 16)
    live = Live({item.path: LiveItem(item.path, "hudson.model.FreeStyleProject", "[jenkins-ami o 0000000000000000]")})
    assert actions(compute(Desired("o", ("r",), (item,)), live, {})) == {}
    pipeline = replace(item, xml="<flow-definition/>")
    assert actions(compute(Desired("o", ("r",), (pipeline,)), live, {})) == {"r/x": "replace"}
