"""Settings of the allow-list and of filters that do not say what they hold."""

import pytest
from pydantic import ValidationError

from hashscan.config.explain import notes, summary
from hashscan.config.settings import Settings

LOCAL = {"kind": "local", "known": ["/list"]}


def errors(**sections):
    with pytest.raises(ValidationError) as caught:
        Settings.of(**sections)
    return [
        (*one["loc"], *one["ctx"].get("at", ()), one["ctx"].get("what", one["msg"]))
        for one in caught.value.errors()
    ]


def test_allow():
    assert Settings.of().allow == ()
    found = Settings.of(allow=["/a", "/b//c/"], service=LOCAL)
    assert found.allow == ("/a", "/b/c")
    assert dict(summary(found))["allow"] == "/a, /b/c"
    assert "allow" not in dict(summary(Settings.of(service=LOCAL)))
    assert notes(found) == []


@pytest.mark.parametrize(
    ("sections", "at", "why"),
    [
        ({"allow": ["a"]}, 0, "is not a full path"),
        ({"allow": [""]}, 0, "is not a full path"),
        ({"allow": [1]}, 0, "must be a path"),
        ({"allow": ["/a", "/a/"]}, 1, "more than once"),
        ({"allow": ["/a", "/x/../list"], "service": LOCAL}, 1, "stands in service.known, too"),
        ({"allow": ["/f"], "filter": {"source": "/f"}}, 0, "stands in filter.source, too"),
    ],
)
def test_allow_that_is_wrong(sections, at, why):
    ((*loc, what),) = errors(**sections)
    assert loc == ["allow", at]
    assert why in what


def test_a_remote_service_s_unused_lists_do_not_matter():
    service = {"url": "https://x", "username": "u", "known": ["/a"]}
    found = Settings.of(
        allow=["/a"], service=service, filter={"source": "https://f/", "root": "/r"}
    )
    assert found.allow == ("/a",)


def test_algorithms():
    assert Settings.of(filter={"source": "/f"}).filter.algorithms == ("md5", "sha1")
    found = Settings.of(filter={"source": "/f", "algorithms": ["sha256"]})
    assert found.filter.algorithms == ("sha256",)
    assert notes(found) == []
    for wrong in ([], ["sha1", "sha1"], ["SHA1"], ["sha512"], "sha1"):
        with pytest.raises(ValidationError, match=r"filter\.algorithms"):
            Settings.of(filter={"source": "/f", "algorithms": wrong})


def test_algorithms_are_of_no_use_to_a_repository():
    repository = {"source": "https://f/", "root": "/r", "algorithms": ["sha1"]}
    (note,) = notes(Settings.of(filter=repository))
    assert note.startswith("filter.algorithms: ")
    assert notes(Settings.of(filter=repository, allow=["/nsrl"])) == []
