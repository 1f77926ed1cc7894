"""What an input of any format may hold at most."""

import pytest
from notice_samples import html, mail
from read_notice import read, refusal

from hashscan.notices.formats import source


@pytest.mark.parametrize(
    "text",
    [
        "https://x.example/1\n" * 9,
        "url;note\n" + "https://x.example/1;\n" * 9,
        "Subject: child sexual abuse\nFrom: a@b.example\n\n"
        + "URL: https://x.example/1\nNote: x\n" * 9,
        mail(html("<table class=urls>" + "<tr><td>https://x.example/1<td>192.0.2.7" * 9)),
    ],
)
def test_items_named_without_end_are_refused_before_they_fill_the_memory(monkeypatch, text):
    monkeypatch.setattr(source, "MOST_ITEMS", 4)
    assert "names more than 100,000 items" in refusal(text)
    monkeypatch.setattr(source, "MOST_ITEMS", 5)
    assert len(read(text).items) == 1
