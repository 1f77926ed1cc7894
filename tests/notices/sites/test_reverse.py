"""From a file to its URL: of the site that serves it, and only if the server answers with it."""

import pytest

from hashscan.config.settings import Settings
from hashscan.notices.sites.reverse import Base, urls_of
from hashscan.notices.sites.sites import Sites

PATTERN = Base("/srv/www/{host}/htdocs", "{host}")


@pytest.mark.parametrize(
    ("bases", "path", "urls"),
    [
        ([PATTERN], b"/srv/www/a.example/htdocs/b/c d.jpg", ["http://a.example/b/c%20d.jpg"]),
        ([PATTERN], b"/srv/www/a.example/htdocs/\xff?#%", ["http://a.example/%FF%3F%23%25"]),
        ([PATTERN], b"/srv/www/a.example/logs/c", []),
        ([PATTERN], b"/srv/www/a b/htdocs/c", []),
        ([PATTERN], b"/srv/www/x/y/htdocs/c", []),
        ([PATTERN], b"/srv/www/a\n.example/htdocs/c", []),
        ([Base("/h/{host}/{host}", "{host}")], b"/h/a.example/a.example/c", ["http://a.example/c"]),
        ([Base("/h/{host}/{host}", "{host}")], b"/h/a.example/b.example/c", []),
        ([Base("/h/{host}", "a.example")], b"/h/b/c", ["http://a.example/c"]),
        ([Base("/h", "{host}")], b"/h/c", []),
        ([Base("/h.s", "a.example")], b"/hxs/c", []),
        ([Base("/h", "a.example")], b"/hello/c", []),
        ([Base("/", "a.example")], b"/c", ["http://a.example/c"]),
        ([Base("/h", "::1")], b"/h/c", ["http://[::1]/c"]),
        ([Base("/h", "a.example", "/shop")], b"/h/c", ["http://a.example/shop/c"]),
        (
            [Base("/h", "a.example"), Base("/h/x", "b.example"), Base("/h/x", "c.example", secure=True),
             Base("/h/x", "b.example")],
            b"/h/x/c",
            ["https://c.example/c", "http://b.example/c", "http://a.example/x/c"],
        ),
    ],
)  # fmt: skip
def test_urls_of_a_path(bases, path, urls):
    assert list(urls_of(bases, path)) == urls


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "a.example"
    (root / "d").mkdir(parents=True)
    (root / "d" / "x.jpg").write_bytes(b"x")
    return root


def sites(*given):
    return Sites(Settings.of(sites=given).sites)


def configured(tmp_path, root, kind):
    if kind == "host":
        return sites({"host": "*.example", "root": f"{tmp_path}/{{host}}"})
    path = tmp_path / kind
    path.write_text(
        {
            "nginx": f"events {{}} http {{ server {{ listen 443 ssl; server_name a.example;"
            f" root {root}; }} }}\n",
            "apache": f'<VirtualHost *:443>\nServerName a.example\nDocumentRoot "{root}"\n'
            "</VirtualHost>\n",
            "table": f"a.example {root}\n*.other.example {root}\n",
            "userdatadomains": f"a.example: u==root==main==a.example=={root}==1==2\n",
        }[kind]
    )
    return sites({kind: str(path)})


@pytest.mark.parametrize("kind", ["host", "nginx", "apache", "table", "userdatadomains"])
def test_the_url_of_a_file(tmp_path, root, kind):
    found = configured(tmp_path, root, kind)
    scheme = "https" if kind in {"nginx", "apache"} else "http"
    url = f"{scheme}://a.example/d/x.jpg"
    path = bytes(root / "d" / "x.jpg")
    assert found.url_of(path) == url
    assert found.locate(url).full == path
    assert found.url_of(bytes(tmp_path / "x.jpg")) is None
    (root / "d" / "x.jpg").unlink()
    assert found.url_of(path) is None
    assert found.url_of(path, moved=True) == url
    assert found.url_of(bytes(root / "x.php")) in (None, f"{scheme}://a.example/x.php")


def test_a_site_before_takes_the_url(tmp_path, root):
    (tmp_path / "other" / "d").mkdir(parents=True)
    (tmp_path / "other" / "d" / "x.jpg").write_bytes(b"x")
    found = sites(
        {"host": "a.example", "root": f"{tmp_path}/other"},
        {"host": "a.example", "root": str(root)},
    )
    assert found.url_of(bytes(root / "d" / "x.jpg")) is None
    assert found.url_of(bytes(root / "d" / "x.jpg"), moved=True) is None


def test_a_program_knows_no_host(root):
    found = sites({"command": ["/bin/echo"]})
    assert found.url_of(bytes(root / "d" / "x.jpg")) is None
    assert sites().url_of(b"/x") is None
