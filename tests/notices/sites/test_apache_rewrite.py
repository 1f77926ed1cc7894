"""The rules of mod_rewrite: which of them apply, and what they do with a request."""

import pytest
from apache_parts import directives
from located_sites import APACHE_HOST, by_apache

from hashscan.notices.sites.address import parse
from hashscan.notices.sites.apache_rewrite import Rewriter, Rewritten, Rules, rules_of
from hashscan.notices.sites.location import UndecidedError


def rewriter(there=()):
    """Of a request for ``/a.jpg?q=1``; ``there``: kinds and paths that exist."""
    return Rewriter(parse("http://a.example:8080/a.jpg?q=1"), "/srv", lambda *one: one in there)


def applied(text, uri=b"/a.jpg", there=()):
    rules = Rules(rules_of(directives("RewriteEngine on\n" + text)))
    return rewriter(there).apply(rules, uri, uri)


def path(text, uri=b"/a.jpg", there=()):
    result = applied(text, uri, there)
    return None if result is None else result.path


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("RewriteRule ^/a /b", b"/b"),
        ("RewriteRule ^/a b", b"/b"),
        ("RewriteRule ^/x /b", None),
        ("RewriteRule !^/x /b", b"/b"),
        ("RewriteRule !^/a /b", None),
        ("RewriteRule ^/A /b", None),
        ("RewriteRule ^/A /b [NC]", b"/b"),
        ("RewriteRule ^/A /b [R=302,nocase]", None),
        ("RewriteRule (.*)[.]jpg $1.png$2", b"/a.png"),
        ("RewriteRule . - [E=x:y]", None),
        ("RewriteRule ^/a /b\nRewriteRule ^/b /c", b"/c"),
        ("RewriteRule ^/a /b [L]\nRewriteRule ^/b /c", b"/b"),
        ("RewriteRule ^/a /b [last]\nRewriteRule ^/b /c", b"/b"),
        ("RewriteRule ^/a /b [END]\nRewriteRule ^/b /c", b"/b"),
        ("RewriteRule ^/a - [L]\nRewriteRule . /c", None),
        # A chain ends at the first rule that does not apply.
        ("RewriteRule ^/x - [C]\nRewriteRule . /c", None),
        ("RewriteRule ^/a - [C]\nRewriteRule . /c", b"/c"),
        (
            "RewriteRule ^/x - [chain]\nRewriteRule . /c [C]\nRewriteRule . /d\nRewriteRule . /e [L]",
            b"/e",
        ),
        ("RewriteRule ^/x - [C]\nRewriteRule . /c [C]\nRewriteRule . /d", None),
        ("RewriteRule . - [S=1]\nRewriteRule ^/a /b\nRewriteRule ^/a /c", b"/c"),
        ("RewriteRule . - [skip=2]\nRewriteRule ^/a /b\nRewriteRule ^/a /c", None),
        ("RewriteRule ^/x - [S=1]\nRewriteRule ^/a /b\nRewriteRule ^/a /c", b"/b"),
    ],
)
def test_rules_of_a_server(text, new):
    assert path(text) == new


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ("%{HTTPS} on", False),
        ("%{HTTPS} off", True),
        ("%{HTTPS} !on", True),
        ("%{HTTPS} on [OR]\n%{REQUEST_METHOD} GET", True),
        ("%{REQUEST_METHOD} GET [ornext]\n%{HTTPS} on", True),
        ("%{HTTPS} on\n%{REQUEST_METHOD} GET", False),
        ("%{HTTPS} on [OR]\n%{HTTPS} 1\n%{REQUEST_METHOD} GET", False),
        ("%{REQUEST_METHOD} get", False),
        ("%{REQUEST_METHOD} get [NC]", True),
        ("%{REQUEST_METHOD} =GET", True),
        ("%{REQUEST_METHOD} =GE", False),
        ("%{REQUEST_METHOD} =get", False),
        ("%{REQUEST_METHOD} =get [nocase]", True),
        ("%{REQUEST_METHOD} !=GET", False),
        ('%{HTTP_REFERER} =""', True),
        ("%{HTTP:Cookie} .", False),
        ("%{HTTP:Host} =a.example:8080", True),
        ("%{HTTP_HOST} =a.example:8080", True),
        ("%{SERVER_NAME} =a.example", True),
        ("%{SERVER_PORT} =8080", True),
        ("%{REQUEST_SCHEME} =http", True),
        ("%{REQUEST_URI} =/a.jpg", True),
        ("%{request_uri} =/a.jpg", True),
        ("%{QUERY_STRING} =q=1", True),
        ("%{DOCUMENT_ROOT} =/srv", True),
        ('%{ENV:REDIRECT_STATUS} =""', True),
        ('"%{THE_REQUEST}" "^GET /a[.]jpg[?]q=1 HTTP/1[.]1$"', True),
        ("%{HTTPS}-%{SERVER_PORT} =off-8080", True),
        ("\\%{HTTPS} =%{HTTPS}", True),
        ("%{REQUEST_FILENAME} -f", True),
        ("%{REQUEST_FILENAME} !-f", False),
        ("%{REQUEST_FILENAME} -d", False),
        ("%{SCRIPT_FILENAME} !-d", True),
        ("%{DOCUMENT_ROOT}/x -d", True),
        ("x -f", False),
        ("x !-f", True),
        # The client decides, and then a condition that fails for certain.
        ("%{REMOTE_ADDR} ^1\n%{HTTPS} on", False),
        ("%{REMOTE_ADDR} ^1 [OR]\n%{HTTPS} off", True),
        ("%{HTTPS} off [OR]\n%{REMOTE_ADDR} ^1", True),
        *((f"{one}\n%{{HTTPS}} off", None) for one in (
            "%{REMOTE_ADDR} ^1", "%{HTTP_USER_AGENT} x", "%{HTTP:Accept} x", "%{HTTP:user-agent} x",
            "%{REMOTE_ADDR} ^1 [OR]\n%{HTTPS} on", "%{HTTPS} on [OR]\n%{TIME} 1",
            "a -eq b", "%{REQUEST_FILENAME} -x", "%{REQUEST_URI} -U", "a >b", "a ==a", "expr true",
        )),
    ],
)  # fmt: skip
def test_conditions(conditions, holds):
    there = ((b"/a.jpg", "f"), (b"/srv/x", "d"))
    text = "".join(f"RewriteCond {one}\n" for one in conditions.split("\n"))
    if holds is None:
        with pytest.raises(UndecidedError, match="depends on the client"):
            applied(text + "RewriteRule . /b", there=there)
        assert applied(text + "RewriteRule . - [F]", there=there) is None
    else:
        assert path(text + "RewriteRule . /b", there=there) == (b"/b" if holds else None)


def test_conditions_apply_to_the_next_rule_only():
    text = "RewriteCond %{HTTPS} on\nRewriteRule . /b\nRewriteRule . /c"
    assert path(text) == b"/c"
    assert path("RewriteRule ^/x - [C]\nRewriteCond %{HTTPS} on\n" + text[24:]) == b"/c"


def test_captures_of_conditions_and_of_the_rule():
    text = (
        "RewriteCond $1 ^(.)\nRewriteCond %{HTTP_HOST} ^(.)[.](.+):\nRewriteCond %{HTTPS} !^(on)$\n"
        "RewriteRule ^/(.*)$ /%2/%1/$1/$0%9"
    )
    assert path(text) == b"/example/a/a.jpg//a.jpg"
    assert path(r"RewriteRule . /\$1\%1") == b"/$1%1"


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ("- [F]", Rewritten(status=403)),
        ("/b [forbidden,L]", Rewritten(status=403)),
        ("- [G]", Rewritten(status=410)),
        ("- [gone]", Rewritten(status=410)),
        ("/b [R=404]", Rewritten(status=404)),
        ("/b [R]", Rewritten(redirect=b"/b")),
        ("/b?x [redirect=301]", Rewritten(redirect=b"/b?x")),
        ("/b [R=permanent]", Rewritten(redirect=b"/b")),
        ("https://b.example/%{QUERY_STRING}", Rewritten(redirect=b"https://b.example/q=1")),
        ("http://b.example/ [P]", Rewritten(script="another server: http://b.example/ (text:2)")),
        ("- [H=x-php]", Rewritten(script="x-php (RewriteRule at text:2)")),
        ("- [handler=x]", Rewritten(script="x (RewriteRule at text:2)")),
        ("/b?c=1", Rewritten(path=b"/b")),
        ("/b [END]", Rewritten(path=b"/b", ends=True)),
        ("/$0", Rewritten(status=403)),
        ("/b?$0", Rewritten(path=b"/b")),
    ],
)
def test_what_a_rule_does(rule, result):
    found = applied(f"RewriteRule .* {rule}", uri=b"/a?b")
    assert found.where == "text:2"
    assert found == Rewritten(
        result.path, result.redirect, result.status, result.script, result.ends, "text:2"
    )


def test_a_refusal_ends_the_rules():
    assert applied("RewriteRule . - [F]\nRewriteRule . /b").status == 403
    assert applied("RewriteRule . /c [R]\nRewriteRule . /b").redirect == b"/c"


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("RewriteRule ^x$ y", b"/d/y"),
        ("RewriteRule ^/ y", None),
        ("RewriteRule ^x$ /y", b"/y"),
        ("RewriteRule ^x$ /srv/d/y", b"/d/y"),
        ("RewriteRule ^x$ y\nRewriteRule ^y$ z", b"/d/z"),
        ("RewriteCond %{REQUEST_URI} =/d/y\nRewriteRule . z", None),
        ("RewriteRule ^x$ y\nRewriteCond %{REQUEST_URI} =/d/y\nRewriteRule . z", b"/d/z"),
        ("RewriteRule ^x$ y\nRewriteCond %{REQUEST_FILENAME} =/srv/d/x\nRewriteRule . z", b"/d/z"),
    ],
)
def test_rules_of_a_directory(text, new):
    rules = Rules(rules_of(directives(text)), "/srv/d/", "/d/")
    found = rewriter().apply(rules, b"/d/x", b"/srv/d/x", b"x")
    assert (None if found is None else found.path) == new


def test_a_redirect_of_a_directory_may_name_a_path_of_the_disk():
    rules = Rules(rules_of(directives("RewriteRule ^x$ /srv/d/y [R]")), "/srv/d/", "/d/")
    assert rewriter().apply(rules, b"/d/x", b"/srv/d/x", b"x").redirect == b"/srv/d/y"


def test_after_an_internal_redirect_the_server_sets_a_status():
    one = rewriter()
    rules = Rules(rules_of(directives("RewriteCond %{ENV:REDIRECT_STATUS} =200\nRewriteRule . /b")))
    assert one.apply(rules, b"/a", b"/a") is None
    one.redirected = True
    assert one.apply(rules, b"/a", b"/a").path == b"/b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RewriteRule .", "the rule at text:2 is not understood"),
        ("RewriteRule ( /b", "is not understood"),
        ("RewriteRule . - [S=x]", "the rule at text:2 is not understood"),
        ("RewriteRule . - [S=1000000]", "the rule at text:2 is not understood"),
        ("RewriteRule . /b [N]", "the rule at text:2 starts the rules again"),
        ("RewriteRule . /b [next=3]", "the rule at text:2 starts the rules again"),
        ("RewriteCond %{HTTPS}\nRewriteRule . /b", "the condition at text:2 is not understood"),
        ("RewriteRule . /%{TIME}", "the rule at text:2 uses a variable that only the server knows"),
    ],
)
def test_rules_that_are_not_decided(text, words):
    with pytest.raises(UndecidedError, match=words):
        applied(text)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("RewriteCond %{{REMOTE_ADDR}} ^1\nRewriteRule . /a.jpg", "depends on the client"),
        ("RewriteRule ( /a", "is not understood"),
    ],
)
def test_a_site_whose_rules_are_not_decided(tmp_path, rest, words):
    location = by_apache(tmp_path, APACHE_HOST % f"RewriteEngine on\n{rest}")
    assert location.kind.value == "undecided"
    assert words in location.reason
