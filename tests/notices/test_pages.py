"""The local files that a page shows."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_trees import plant

from hashscan.config.settings import Settings
from hashscan.notices import pages
from hashscan.notices.pages import parts_of, references
from hashscan.notices.sites.sites import Sites

URL = "http://a.example/dir/page.html"


def urls(content, url=URL):
    return [one for one, _ in references(content, url)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<img src=a.jpg>", "dir/a.jpg"),
        (b"<IMG SRC = '/a b.jpg'>", "a b.jpg"),
        (b'<img alt="" src="../a.jpg#x">', "a.jpg"),
        (b'<img data-src="a&amp;b.jpg">', "dir/a&b.jpg"),
        (b"<video poster=p.jpg><source src='v.mp4'>", "dir/p.jpg|dir/v.mp4"),
        (b"<link rel=stylesheet href=s.css>", "dir/s.css"),
        (b"<a href='full/1.jpg'>", "dir/full/1.jpg"),
        (b"<object data=o.swf><body background=b.gif>", "dir/o.swf|dir/b.gif"),
        (b"<image xlink:href='x.png'/>", "dir/x.png"),
        (b"<meta property=og:image content='/og.jpg'><meta content='words'>", "og.jpg"),
        (b"<base href='/b/'><img src=a.jpg>", "b/|b/a.jpg"),
        (b"<style>a{background:url(u.png)} b{x:url( 'v.png' )} @import \"i.css\";", "dir/u.png|dir/v.png|dir/i.css"),
        (b'<p style="background: url(&quot;q.png&quot;)">', "dir/q.png"),
        (b"a{b:url(\\2f x\\.png)}", "x.png"),
        (b"<img src='caf\xc3\xa9.jpg'>", "dir/café.jpg"),
        (b"\xff\xfe" + "<img src=a.jpg>".encode("utf-16-le"), "dir/a.jpg"),
        ("<img src=a.jpg>".encode("utf-16-be"), "dir/a.jpg"),
        (b"\xef\xbb\xbf<img src=a.jpg>", "dir/a.jpg"),
        (b"<a href=#x><a href='mailto:x@y.example'><img src='data:image/png;base64,AA'>", ""),
        (b"<a href='javascript:x()'><img src='http://['><img src=''>", ""),
    ],
)  # fmt: skip
def test_references_are_found_in_any_markup(content, expected):
    found = [one.removeprefix("http://a.example/") for one in urls(content)]
    assert set(found) == set(expected.split("|") if expected else ())


@pytest.mark.parametrize(
    "page",
    [b'<img src="a&#%b;.jpg">', b'<base href="&#%b;">', b"<style>a{background:url(&#%b;)}</style>"],
)
def test_a_character_whose_number_has_thousands_of_digits(page):
    list(references(page % (b"9" * 5000), "http://site.example/"))


def test_a_srcset_and_bytes_that_are_not_utf8():
    found = urls(b"<img srcset='a.jpg 1x, b,c.jpg 2x,d.jpg 100w'>", "http://a.example/")
    assert {"http://a.example/a.jpg", "http://a.example/b,c.jpg", "http://a.example/d.jpg"} <= set(
        found
    )
    assert urls(b"<img src='caf\xe9.jpg'>", "http://a.example/") == [
        "http://a.example/caf\udce9.jpg",
        "http://a.example/café.jpg",
    ]


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "www"
    plant(root, "a.jpg", "b.jpg", "bg.png", "deep.png", "full.jpg", "other.html", "in/framed.jpg")
    (root / "page.html").write_text(
        "<link href=style.css><img src=a.jpg><img src=a.jpg?again><a href=other.html>x</a>"
        "<a href=full.jpg><iframe src=in/frame.html></iframe><img src=//foreign.test/x.jpg>"
        "<img src=../../outside.jpg><img src=out.jpg><img src=none.jpg><img src=page.html>"
    )
    (root / "style.css").write_text("@import 'more.css'; a{background:url(bg.png)}")
    (root / "more.css").write_text("a{background:url(deep.png)} @import 'style.css';")
    (root / "in" / "frame.html").write_text("<img src=framed.jpg>")
    (tmp_path / "outside.jpg").touch()
    (root / "out.jpg").symlink_to("../outside.jpg")
    return Sites(Settings.of(sites=[{"host": "a.example", "root": str(root)}]).sites), root


def names(parts, root):
    return {os.fsdecode(one.path) for one in parts.files if one.root == os.fsencode(root)}


def test_the_parts_of_a_page(site):
    sites, root = site
    url = "http://a.example/page.html"
    parts = parts_of(sites, url, sites.locate(url))
    assert names(parts, root) == {
        "a.jpg", "style.css", "more.css", "bg.png", "deep.png", "full.jpg", "in/frame.html",
        "in/framed.jpg",
    }  # fmt: skip
    assert len(parts.files) == 8
    assert parts.remarks == ()


def test_a_picture_has_no_parts(site):
    sites, _ = site
    url = "http://a.example/a.jpg"
    assert parts_of(sites, url, sites.locate(url)).files == ()


def test_each_bound_has_a_remark(site, monkeypatch):
    sites, root = site
    url = "http://a.example/page.html"
    location = sites.locate(url)
    monkeypatch.setattr(pages, "MOST_REFERENCES", 3)
    assert "only the first 3 references" in parts_of(sites, url, location).remarks[0]
    monkeypatch.undo()
    assert "took too long" in parts_of(sites, url, location, seconds=-1).remarks[0]
    (root / "page.html").write_text("<img src=a.jpg>" + " " * pages.MOST_BYTES + "<img src=b.jpg>")
    parts = parts_of(sites, url, location)
    assert names(parts, root) == {"a.jpg"}
    assert "only the begin" in parts.remarks[0]
    (root / "page.html").write_text("".join(f"<img src=//h{n}.example/x>" for n in range(50)))
    found = Sites(Settings.of(sites=[{"host": "*", "root": str(root)}]).sites)
    assert "other hosts" in parts_of(found, url, location).remarks[0]


@pytest.mark.parametrize(
    "piece",
    [b'src="', b"src='", b"src=", b"url(", b'url("', b"<base ", b"srcset=a,", b"@import '", b"href = ",
     b"&#", b"\\", b"content=/", b"url( ", b"@import", b"src" + b" " * 20],
)  # fmt: skip
def test_no_page_takes_long(piece):
    content = piece * ((256 << 10) // len(piece))
    begin = time.process_time()
    for number, _ in enumerate(references(content, URL)):
        if number > 100:
            break
    assert time.process_time() - begin < 10


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"<img src=", b"url(", b"<base href=", b""]))
def test_random_bytes_have_references_within_bounds(content, begin):
    for one, _ in references(begin + content, URL):
        assert one.startswith(("http://", "https://"))
