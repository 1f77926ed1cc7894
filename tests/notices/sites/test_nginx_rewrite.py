"""nginx's rewrite module: returns, rewrites, conditions and variables of one level."""

import pytest
from located_sites import by_nginx
from nginx_parts import directives

from hashscan.notices.sites.address import parse
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.nginx_rewrite import RewriteResult, Rewriting


def rewriting(url="http://a.example:8080/a.jpg?q=1", **captures):
    one = Rewriting(
        parse(url), captures, lambda root, uri, kind: (root, uri, kind) == ("/srv", b"/a.jpg", "f")
    )
    one.root = "/srv"
    return one


def run(top, text):
    return rewriting().run(directives(top, text), b"/a.jpg")


@pytest.mark.parametrize(
    ("text", "uri", "again"),
    [
        ("", b"/a.jpg", False),
        ("rewrite ^/b /c;", b"/a.jpg", False),
        ("rewrite ^/A /c;", b"/a.jpg", False),
        ("rewrite ^/a /c;", b"/c", True),
        ("rewrite ^/(.)[.](.*) /$2/$1?x;", b"/jpg/a", True),
        ("rewrite ^/a /c; rewrite ^/c /d;", b"/d", True),
        ("rewrite ^/a /c last; rewrite ^/c /d;", b"/c", True),
        ("rewrite ^/a /c break; rewrite ^/c /d;", b"/c", False),
        ("rewrite ^/a /c; break; rewrite ^/c /d;", b"/c", True),
        ("break; rewrite ^/a /c;", b"/a.jpg", False),
        ("if ($args) { rewrite ^/a /c; } rewrite ^/c /d;", b"/d", True),
        ("if ($args) { rewrite ^/a /c last; } rewrite ^/c /d;", b"/c", True),
        ("if ($args) { rewrite ^/a /c break; } rewrite ^/c /d;", b"/c", False),
        ("if ($args) { break; } rewrite ^/a /c;", b"/a.jpg", False),
        ("if ($none) { break; } rewrite ^/a /c;", b"/c", True),
        ("set $x /c; rewrite ^ $x;", b"/c", True),
        ("set $x $args; if ($x = q=1) { rewrite ^ /c; }", b"/c", True),
        ("if ($args ~ (.)=(.)) { rewrite ^ /$1$2; }", b"/", True),
        ("if ($args ~ (.)=(.)) { set $x $1$2; } rewrite ^ /$x;", b"/q1", True),
    ],
)
def test_rewrites(tmp_path, text, uri, again):
    if "$none" in text:
        text = "set $none 0; " + text
    result = run(tmp_path, text)
    assert (result.uri, result.again, result.status, result.redirect) == (uri, again, None, None)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("return 404;", RewriteResult(b"/a.jpg", status=404)),
        ("return;", RewriteResult(b"/a.jpg", status=404)),
        ("return 200 $host;", RewriteResult(b"/a.jpg", status=200)),
        ("return 301 https://$host$request_uri;",
         RewriteResult(b"/a.jpg", status=301, text=b"https://a.example/a.jpg?q=1")),
        ("rewrite ^/a /c; return 410; rewrite ^/c /d;", RewriteResult(b"/c", status=410)),
        ("if ($scheme = http) { return 403; } rewrite ^ /c;", RewriteResult(b"/a.jpg", status=403)),
    ],
)  # fmt: skip
def test_returns(tmp_path, text, result):
    found = run(tmp_path, text)
    assert found.where == f"{tmp_path}/nginx.conf:2"
    assert (found.uri, found.status, found.text) == (result.uri, result.status, result.text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("return https://$http_host$uri;", b"https://a.example:8080/a.jpg"),
        ("rewrite ^/a http://b.example/$args;", b"http://b.example/q=1"),
        ("rewrite ^/a https://b.example/; rewrite ^ /c;", b"https://b.example/"),
        ("rewrite ^/a $scheme://b.example/;", b"http://b.example/"),
        ("rewrite ^/a /c permanent;", b"/c"),
        ("rewrite ^/a /c?d redirect; return 404;", b"/c?d"),
        ("if ($args) { rewrite ^/a /c redirect; } return 404;", b"/c"),
    ],
)
def test_redirects(tmp_path, text, target):
    assert run(tmp_path, text).redirect == target


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("$args", True),
        ("$empty", False),
        ("$zero", False),
        ("$host = a.example", True),
        ("$host = A.example", False),
        ("$host != a.example", False),
        ("$host = $host", True),
        ("$uri ~ [.]jpg$", True),
        ("$uri ~ [.]JPG$", False),
        ("$uri ~* [.]JPG$", True),
        ("$uri !~ [.]jpg$", False),
        ("$uri !~* [.]JPG$", False),
        ("$uri !~* [.]png$", True),
        ("-f $request_filename", True),
        ("!-f $request_filename", False),
        ("-f $document_root$uri", True),
        ("-d $request_filename", False),
        ("!-e $request_filename", True),
        ("-f /etc/passwd", None),
        ("-x $request_filename", None),
        ("$cookie_a", None),
        ("$host = $cookie_a", None),
        ("$cookie_a ~ x", None),
        ("$host > a", None),
    ],
)
def test_conditions(tmp_path, condition, holds):
    text = f'set $empty ""; set $zero 0; if ({condition}) {{ rewrite ^ /c; }}'
    if holds is None:
        with pytest.raises(UndecidedError, match=r"can check .*nginx[.]conf:2"):
            run(tmp_path, text)
    else:
        assert run(tmp_path, text).uri == (b"/c" if holds else b"/a.jpg")


def test_a_condition_that_may_only_refuse_changes_nothing(tmp_path):
    for code in (403, 404, 500):
        assert run(tmp_path, f"if ($cookie_a) {{ return {code}; }}").status is None
    assert run(tmp_path, "if ($cookie_a) { add_header x y; expires 1d; }").status is None
    for code in (200, 301):
        with pytest.raises(UndecidedError, match="only nginx can check"):
            run(tmp_path, f"if ($cookie_a) {{ return {code}; }}")


def test_a_variable_that_such_a_condition_sets_is_unknown(tmp_path):
    text = "set $x /c; if ($cookie_a) { set $x /d; } rewrite ^ $x;"
    with pytest.raises(UndecidedError, match=r"uses \$x, which only nginx knows"):
        run(tmp_path, text)


def test_a_directive_of_a_condition_that_is_not_evaluated_is_named(tmp_path):
    with pytest.raises(UndecidedError, match=r"root within the condition at .*nginx.conf:2"):
        run(tmp_path, "if ($args) { root /b; }")
    assert run(tmp_path, "if ($args = x) { root /b; }").uri == b"/a.jpg"


@pytest.mark.parametrize(
    ("url", "text", "expanded"),
    [
        ("http://a.example/x%20y?q", "$uri $document_uri", b"/u /u"),
        ("http://a.example/x%20y?q", "$request_uri", b"/x%20y?q"),
        ("http://a.example/x", "$request_uri$is_args$args", b"/x"),
        ("http://a.example/x?q", "$is_args$args-$query_string", b"?q-q"),
        ("http://a.example:81/", "${host}_$http_host:$server_port", b"a.example_a.example:81:81"),
        ("http://[2001:db8::1]/", "$host", b"[2001:db8::1]"),
        ("https://a.example/", "$scheme,$https,$server_port", b"https,on,443"),
        ("http://a.example/", "[$https]$request_method", b"[]GET"),
        ("http://a.example/", "$document_root $request_filename", b"/srv /srv/u"),
        ("http://a.example/", "$name/$1/$$", b"n/one/$$"),
        ("http://a.example/", "\udcff", b"\xff"),
    ],
)
def test_variables(url, text, expanded):
    one = rewriting(url, name=b"n", **{"1": b"one"})
    assert one.expand(text, b"/u", "here") == expanded


def test_variables_that_only_nginx_knows(tmp_path):
    one = rewriting()
    for text in ("$time_local", "a${cookie_a}", "$2"):
        with pytest.raises(UndecidedError, match=r"here uses .*, which only nginx knows"):
            one.expand(text, b"/u", "here")
    one.root = "/srv/$host"
    with pytest.raises(UndecidedError, match="document_root"):
        one.expand("$document_root", b"/u", "here")
    one.root = None
    with pytest.raises(UndecidedError, match="request_filename"):
        one.expand("$request_filename", b"/u", "here")


def test_captures_last_until_the_next_match():
    one = rewriting(**{"1": b"of the name"})
    assert not one.match("x(.)", b"abc")
    assert one.expand("$1", b"/u", "here") == b"of the name"
    assert one.match("(?<first>A)(b)(x)?", b"abc", ignore_case=True)
    assert one.expand("$1$2$3$9-$first", b"/u", "here") == b"ab-a"
    assert one.match("c", b"abc")
    assert one.expand("[$1]", b"/u", "here") == b"[]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("root /srv/$mapped;", "$mapped"),
        ("root /; if ($cookie_a) { root /b; }", "only nginx"),
    ],
)
def test_a_server_that_is_not_decided(tmp_path, text, words):
    text = f"http {{ server {{ server_name a.example; {text} }} }}"
    location = by_nginx(tmp_path, text, "http://a.example/a")
    assert location.kind.value == "undecided"
    assert words in location.reason
