"""hashscan.watch.choose_source: the back-end of each volume, and why."""

import pytest

from hashscan.watch import choose_source


@pytest.mark.parametrize(
    ("mode", "missing", "backend", "why"),
    [
        ("off", None, "off", "(watch: off)"),
        ("inotify", None, "inotify", "(watch: inotify)"),
        ("auto", None, "fanotify", "one mark for the whole file system"),
        ("auto", "no right", "inotify", "fanotify cannot be had: no right"),
        ("fanotify", None, "fanotify", "one mark for the whole file system"),
        ("fanotify", "no right", "inotify", "fanotify was asked for but cannot be had: no right"),
    ],
)
def test_the_choice_for_a_mode(monkeypatch, mode, missing, backend, why):
    monkeypatch.setattr(choose_source, "reasons_not", lambda volumes: [missing] * len(volumes))
    (choice,) = choose_source.choose(["v"], [mode])
    assert choice.backend == backend
    assert why in choice.why


def test_only_volumes_that_may_have_fanotify_are_tried_and_keep_their_order(monkeypatch):
    tried = []

    def reasons(volumes):
        tried.extend(volumes)
        return [None if volume == "d" else f"not {volume}" for volume in volumes]

    monkeypatch.setattr(choose_source, "reasons_not", reasons)
    chosen = choose_source.choose(list("abcd"), ["off", "auto", "inotify", "fanotify"])
    assert tried == ["b", "d"]
    assert [one.backend for one in chosen] == ["off", "inotify", "inotify", "fanotify"]
    assert "not b" in chosen[1].why
