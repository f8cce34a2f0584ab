"""Chains and forests of images, from tags alone. No cloud."""

from __future__ import annotations

import pytest

from jenkins_ami.distribute.ancestry import ancestors, chain, forest
from jenkins_ami.distribute.images import Image

HOME, AWAY = "eu-central-1", "eu-west-1"


def image(identity: str, base: str = "", *, name: str = "web", number: int = 1, region: str = HOME, copy_of: str = ""):
    tags = {key: value for key, value in (("jenkins-ami:base", base), ("jenkins-ami:copy-of", copy_of)) if value}
    return Image(identity, region, f"{name}-1.0-{number}", name, "1.0", number, tags=tags)


def links(first: Image, *others: Image) -> list[tuple[str, str, str]]:
    known = {(each.region, each.image_id): each for each in (first, *others)}
    return [(link.relation, link.kind, link.image_id) for link in chain(first, lambda *place: known.get(place))]


def test_a_chain_leads_to_scratch():
    base = image("ami-base", "scratch/d1", name="")
    assert links(image("ami-web", "ami-base"), base) == [
        ("image", "ours", "ami-web"),
        ("base", "ours", "ami-base"),
        ("base", "scratch", "scratch/d1"),
    ]


def test_a_chain_leads_to_a_foreign_base():
    assert links(image("ami-web", "ami-debian"), image("ami-debian", name="")) == [
        ("image", "ours", "ami-web"),
        ("base", "foreign", "ami-debian"),
    ]


def test_a_chain_ends_where_an_image_is_gone():
    assert links(image("ami-web", "ami-base")) == [("image", "ours", "ami-web"), ("base", "gone", "ami-base")]


def test_an_image_that_does_not_say_is_a_chain_of_its_own():
    assert links(image("ami-web")) == [("image", "ours", "ami-web")]


def test_a_copy_leads_through_its_original():
    original = image("ami-web", "ami-debian")
    copy = image("ami-copy", "ami-debian", region=AWAY, copy_of=f"{HOME}/ami-web")
    assert links(copy, original, image("ami-debian", name="")) == [
        ("image", "ours", "ami-copy"),
        ("copy-of", "ours", "ami-web"),
        ("base", "foreign", "ami-debian"),
    ]


def test_a_copy_whose_original_is_gone_still_knows_its_base():
    copy = image("ami-copy", "ami-debian", region=AWAY, copy_of=f"{HOME}/ami-web")
    assert links(copy, image("ami-debian", name="")) == [
        ("image", "ours", "ami-copy"),
        ("copy-of", "gone", "ami-web"),
        ("base", "foreign", "ami-debian"),
    ]


@pytest.mark.parametrize("others", [[], [image("ami-b", "ami-c"), image("ami-c", "ami-a")]], ids=["one", "three"])
def test_a_circle_ends_a_chain(others):
    found = links(image("ami-a", "ami-b" if others else "ami-a"), *others)
    assert found[-1] == ("base", "circle", "ami-a")
    assert len(found) == len(others) + 2


def test_copies_that_name_each_other_end_a_chain():
    one = image("ami-a", copy_of=f"{HOME}/ami-b")
    other = image("ami-b", copy_of=f"{HOME}/ami-a")
    assert links(one, other) == [("image", "ours", "ami-a"), ("copy-of", "ours", "ami-b")]


def test_ancestors_are_those_of_all_near_and_far():
    all_images = [image("ami-a", "ami-b"), image("ami-b", "ami-c"), image("ami-c", "scratch/d"), image("ami-x")]
    known = {each.image_id: each for each in all_images}
    assert ancestors([all_images[0]], known) == {"ami-b": "ami-a", "ami-c": "ami-b", "scratch/d": "ami-c"}
    assert ancestors([all_images[3]], known) == {}


def test_ancestors_of_a_circle_end():
    known = {each.image_id: each for each in (image("ami-a", "ami-b"), image("ami-b", "ami-a"))}
    assert ancestors(known.values(), known) == {"ami-b": "ami-a", "ami-a": "ami-b"}


def drawn(images: list[Image], *names: str) -> list[str]:
    return [f"{node.prefix}{node.image_id}" for node in forest(images, names)]


FAMILY = [
    image("ami-base", "scratch/d1", name="base"),
    image("ami-web2", "ami-base", number=2),
    image("ami-web1", "ami-base", number=1),
    image("ami-copy", "ami-base", number=1, region=AWAY, copy_of=f"{HOME}/ami-web1"),
    image("ami-shop", "ami-web1", name="shop"),
    image("ami-api", "ami-debian", name="api"),
    image("ami-alone", name="alone"),
]


def test_a_forest_has_every_image_once_below_what_it_came_from():
    assert drawn(FAMILY) == [
        "ami-debian",
        "└─ ami-api",
        "scratch/d1",
        "└─ ami-base",
        "   ├─ ami-web1",
        "   │  ├─ ami-shop",
        "   │  └─ ami-copy",
        "   └─ ami-web2",
        "ami-alone",
    ]


def test_a_name_shows_its_family_and_no_other():
    assert drawn(FAMILY, "shop") == [
        "scratch/d1",
        "└─ ami-base",
        "   └─ ami-web1",
        "      └─ ami-shop",
    ]
    assert drawn(FAMILY, "web") == drawn(FAMILY)[2:8]
    assert drawn(FAMILY, "nobody") == []


def test_a_family_is_whole_when_members_are_below_each_other():
    images = [
        image("ami-a0", name="a"),
        image("ami-b1", "ami-a0", name="b"),
        image("ami-a2", "ami-b1", name="a"),
        image("ami-c", "ami-b1", name="c"),
    ]
    assert drawn(images, "a") == ["ami-a0", "└─ ami-b1", "   ├─ ami-a2", "   └─ ami-c"]


def test_a_circle_is_drawn_once():
    assert drawn([image("ami-a", "ami-b"), image("ami-b", "ami-a", number=2)]) == ["ami-a", "└─ ami-b"]


def test_a_long_line_of_images_each_made_of_the_last_is_drawn():
    images = [image(f"ami-{number}", f"ami-{number - 1}", number=number) for number in range(1, 2001)]
    assert len(drawn(images)) == 2001
