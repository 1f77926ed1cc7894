"""The path of a site as a path of the disk: of users, of aliases, of document roots."""

import os
import pwd

import pytest
from apache_parts import directives, reader
from located_sites import APACHE_HOST, by_apache

from hashscan.notices.sites.address import parse
from hashscan.notices.sites.apache_mapping import Mapping, rest_of
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import UndecidedError


@pytest.fixture
def mapping():
    with Disk() as disk:

        def made(own, main=""):
            address = parse("http://www.a.example:8080/")
            return Mapping((directives(main), directives(own)), reader(), address, disk)

        yield made


def test_the_virtual_host_goes_before_the_main_server(mapping):
    found = mapping("UserDir a\nUserDir b\n", "UserDir c\nScriptAlias /x /y\nUserDir\n")
    assert [one.args for one in found.server("userdir", "alias")] == [("a",), ("b",), ("c",), ()]
    assert found.setting("userdir") == "b"
    assert found.setting("scriptalias", "none") == "/x"
    assert found.setting("alias", "none") == "none"


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("/v/%0", "/v/www.a.example"),
        ("/v/%1/%2", "/v/www/a"),
        ("/v/%-1/%-3", "/v/example/www"),
        ("/v/%2+", "/v/a.example"),
        ("/v/%-2+", "/v/www.a"),
        ("/v/%4/%-4", "/v/_/_"),
        ("/v/%p/%0/", "/v/8080/www.a.example"),
        ("/v/100%%/%1", "/v/100%/www"),
    ],
)
def test_the_root_of_a_virtual_host_by_its_name(mapping, pattern, root):
    own = f"DocumentRoot /srv\nVirtualDocumentRoot {pattern}"
    assert mapping(own).place(b"/a") == (root.encode(), b"/a", False)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("VirtualDocumentRoot /v/%x/%%", "VirtualDocumentRoot /v/%x/%% is not understood"),
        ("VirtualDocumentRoot /v/%x", "VirtualDocumentRoot /v/%x is not understood"),
        ("DocumentRoot ${WWW}/a", "no full path"),
        ("AliasMatch ^/a /srv", "AliasMatch at text:1 is not evaluated"),
        ("Alias /a ${WWW}", "text:1"),
        ("UserDir http://users.example/", "UserDir http://users.example/ redirects"),
    ],
)
def test_what_the_directives_do_not_decide(mapping, own, words):
    with pytest.raises(UndecidedError, match=words.replace("?", "[?]")):
        mapping(own).place(b"/~user/a" if "UserDir" in own else b"/a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (APACHE_HOST.replace("DocumentRoot {top}/www", ""), "no DocumentRoot is set"),
        (APACHE_HOST.replace("{top}/www", "${{APACHE_DIR}}/x"), "no full path"),
        (APACHE_HOST % "AliasMatch ^/ /srv", "AliasMatch"),
    ],
)
def test_a_site_whose_root_is_unknown(tmp_path, text, words):
    location = by_apache(tmp_path, text.replace("%s", ""))
    assert location.kind.value == "undecided"
    assert words in location.reason


def test_a_document_root_may_be_below_the_root_of_the_server(mapping):
    assert mapping("DocumentRoot htdocs/").place(b"/a") == (b"/etc/apache2/htdocs", b"/a", False)
    assert mapping("DocumentRoot /").place(b"/a") == (b"/", b"/a", False)


@pytest.mark.parametrize(
    ("alias", "uri", "place"),
    [
        ("Alias /i /none/img", b"/i/a", (b"/none/img", b"/a")),
        ("Alias /i /none/img", b"/i", (b"/none", b"img")),
        ("Alias /i /usr", b"/i", (b"/usr", b"")),
        ("Alias /i /none/img", b"/ix", (b"/srv", b"/ix")),
        ("Alias /i/ /none/img/", b"/i/a", (b"/none/img", b"a")),
        ("Alias /i/ /none/img", b"/i/a", (b"/none", b"imga")),
        ("Alias /i /", b"/i/a", (b"/", b"/a")),
        ("Alias /i/j /one\nAlias /i /two", b"/i/j/a", (b"/one", b"/a")),
        ("Alias /i /two\nAlias /i/j /one", b"/i/j/a", (b"/two", b"/j/a")),
        ("Alias /i", b"/i/a", (b"/srv", b"/i/a")),
        ("AliasMatch ^/j /x", b"/i/a", (b"/srv", b"/i/a")),
    ],
)
def test_aliases(mapping, alias, uri, place):
    assert mapping(f"DocumentRoot /srv\n{alias}").place(uri) == (*place, False)
    script = alias.replace("Alias ", "ScriptAlias ")
    expected = (*place, place[0] != b"/srv")
    assert mapping(f"DocumentRoot /srv\n{script}").place(uri) == expected


@pytest.mark.parametrize(
    ("own", "root"),
    [
        ("UserDir /home/*/web", "/home/root/web"),
        ("UserDir /users/", "/users/root"),
        ("UserDir www", f"{pwd.getpwuid(0).pw_dir}/www"),
        ("UserDir a\nUserDir /users", "/users/root"),
        ("UserDir /none/* /usr/*", "/usr/root"),
        ("UserDir /users\nUserDir disabled", None),
        ("UserDir /users\nUserDir disabled root", None),
        ("UserDir /users\nUserDir disabled other", "/users/root"),
        ("UserDir /users\nUserDir disabled\nUserDir enabled root", "/users/root"),
        ("UserDir /users\nUserDir disabled\nUserDir enabled other", None),
        ("UserDir enabled root", None),
        ("", None),
    ],
)
def test_the_directory_of_a_user(mapping, own, root):
    found = mapping(f"DocumentRoot /srv\n{own}")
    expected = (b"/srv", b"/~root/a") if root is None else (os.fsencode(root), b"/a")
    assert found.place(b"/~root/a") == (*expected, False)


def test_which_paths_have_a_user(mapping):
    found = mapping("DocumentRoot /srv\nUserDir /users")
    assert found.place(b"/~root") == (b"/users/root", b"", False)
    for uri in (b"/~../a", b"/~./a", b"/~/a", b"/a/~root"):
        assert found.place(uri) == (b"/srv", uri, False)


def test_the_first_directory_of_a_user_that_is_there(mapping, tmp_path):
    (tmp_path / "b" / "root").mkdir(parents=True)
    for places in ("a b c", "a c b"):
        full = " ".join(f"{tmp_path}/{one}" for one in places.split())
        root, path, _ = mapping(f"UserDir {full}").place(b"/~root/x")
        assert (root, path) == (bytes(tmp_path / "b" / "root"), b"/x")


def test_the_rest_after_a_prefix():
    assert rest_of(b"/a/b", "/a") == b"/b"
    assert rest_of(b"/a/b", "/a/") == b"b"
    assert rest_of(b"/a", "/a") == b""
    assert rest_of(b"/ab", "/a") is None
    assert rest_of(b"/b", "/a") is None
