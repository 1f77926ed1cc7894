"""The sections and ``.htaccess`` files that apply to a file, and their settings, as Apache merges them."""

import os

import pytest
from apache_parts import directives, reader
from located_sites import APACHE_HOST, by_apache
from site_trees import plant

from hashscan.notices.sites.apache_scope import ApacheScope, flat, location_fits
from hashscan.notices.sites.disk import Disk
from hashscan.notices.sites.location import UndecidedError


@pytest.fixture
def scope():
    """The scope of /srv/www/dir/a.jpg."""
    with Disk() as disk:

        def made(own, main="", path=b"dir/a.jpg", uri=b"/dir/a.jpg", *, is_directory=False):
            levels = (directives(main), directives(own))
            return ApacheScope(
                levels, reader(), disk, b"/srv/www", path, uri, is_directory=is_directory
            )

        yield made


def within(section, text):
    return f"<{section}>\n{text}\n</{section.partition(' ')[0]}>\n"


@pytest.mark.parametrize(
    ("section", "applies"),
    [
        ("Directory /", True),
        ("Directory /srv/www", True),
        ("Directory /srv/www/", True),
        ("Directory /srv/www/dir", True),
        ("Directory /srv/www/dir/a.jpg", False),
        ("Directory /srv/www/other", False),
        ("Directory /srv/ww", False),
        ("Directory /srv/*/dir", True),
        ("Directory /s?v/[w]ww", True),
        ("Directory /*/dir", False),
        ("Directory ~ ^/srv/.*/dir/", True),
        ("Directory ~ ^/www", False),
        ("DirectoryMatch a[.]jpg$", True),
        ("DirectoryMatch b[.]jpg$", False),
        ("Files a.jpg", True),
        ("Files *.jpg", True),
        ("Files *.JPG", False),
        ("Files dir", False),
        ("Files ~ [.]jpg$", True),
        ("FilesMatch ^a", True),
        ("FilesMatch ^dir", False),
        ("Location /dir", True),
        ("Location /other", False),
        ("Limit GET POST", True),
        ("Limit POST", False),
        ("LimitExcept POST", True),
        ("LimitExcept GET", False),
        ("VirtualHost *", False),
    ],
)
def test_which_sections_apply(scope, section, applies):
    for levels in ((within(section, "AddType in"), ""), ("", within(section, "AddType in"))):
        assert (scope(*levels).last("addtype") is not None) == applies


def test_sections_of_files_do_not_apply_to_a_directory(scope):
    found = scope(within("Files dir", "AddType in"), path=b"dir", uri=b"/dir/", is_directory=True)
    assert found.last("addtype") is None
    found = scope(within("Directory /srv/www/dir", "AddType in"), path=b"dir/", is_directory=True)
    assert found.last("addtype") is not None


def test_the_order_of_merging(scope):
    parts = [
        ("Location /dir", "location"),
        ("Files a.jpg", "files"),
        ("DirectoryMatch .", "expression"),
        ("Directory /srv/www/dir", "inner"),
        ("Directory /srv", "outer"),
    ]
    text = "".join(within(section, f"SetHandler {name}") for section, name in parts)
    found = scope(text + "SetHandler host", "SetHandler main")
    blocks = [one.args[0] for block in found.blocks for one in block if one.name == "sethandler"]
    assert blocks == ["main", "host", "outer", "inner", "expression", "files", "location"]
    assert found.places == ["", "", "/srv/", "/srv/www/dir/", "/srv/www/dir/", "", ""]
    assert found.handler("a.jpg") == ("location", "text:2")


def test_files_within_a_directory(scope):
    inner = within("Files a.jpg", "AddType in")
    found = scope(within("Directory /srv/www", inner))
    assert found.last("addtype") is not None
    assert found.places[-1] == "/srv/www/"
    assert scope(within("Directory /srv/other", inner)).last("addtype") is None


@pytest.mark.parametrize(
    ("section", "uri", "fits"),
    [
        ("Location /a", "/a", True),
        ("Location /a", "/a/b", True),
        ("Location /a", "/ab", False),
        ("Location /a/", "/a", False),
        ("Location /a/", "/a/b", True),
        ("Location /*.jpg", "/a.jpg", True),
        ("Location /*.jpg", "/a.png", False),
        ("Location ~ ^/a", "/ab", True),
        ("Location ~ ^/b", "/ab", False),
        ("Location ~", "/~", False),
        ("Location", "/", False),
        ("LocationMatch b$", "/ab", True),
        ("LocationMatch a$", "/ab", False),
    ],
)
def test_which_locations_fit(section, uri, fits):
    (one,) = directives(within(section, ""))
    assert location_fits(one, uri) == fits


def test_limits_within_limits_are_flat():
    text = within(
        "LimitExcept POST", "One\n" + within("Limit get", "Two") + within("Limit PUT", "Three")
    )
    assert [one.name for one in flat(directives(text + "Four"))] == ["one", "two", "four"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {"followsymlinks"}),
        ("Options None", set()),
        ("Options Indexes", {"indexes"}),
        ("Options +Indexes", {"indexes", "followsymlinks"}),
        ("Options Indexes MultiViews\nOptions -Indexes", {"multiviews"}),
        ("Options All", {"all", "indexes", "followsymlinks", "includes", "execcgi"}),
        ("Options", {"followsymlinks"}),
        ("Options Indexes\n<Directory /srv>\nOptions +ExecCGI -indexes\n</Directory>", {"execcgi"}),
    ],
)
def test_options(scope, text, options):
    assert scope(text).options() == options


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["index.html"]),
        ("DirectoryIndex a b", ["a", "b"]),
        ("DirectoryIndex a\nDirectoryIndex b", ["a", "b"]),
        ("DirectoryIndex a\nDirectoryIndex disabled", []),
        ("DirectoryIndex a\nDirectoryIndex disabled\nDirectoryIndex b", ["b"]),
        ("DirectoryIndex a\n<Directory /srv>\nDirectoryIndex b\n</Directory>", ["b"]),
    ],
)
def test_the_names_of_index_files(scope, text, names):
    assert scope(text).indexes() == names


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", None),
        ("Require all denied", 1),
        ("Require all granted", None),
        ("Require All Denied\nRequire ip 192.0.2.1", None),
        ("<RequireAny>\n</RequireAny>", None),
        ("Require all denied\n<Directory /srv>\nRequire all granted\n</Directory>", None),
        ("Require all granted\n<Directory /srv>\nRequire all denied\n</Directory>", 3),
        ("Deny from all", 1),
        ("Deny from 192.0.2.1", None),
        ("Order allow,deny", 1),
        ("Order Allow , Deny", 1),
        ("Order allow,deny\nAllow from all", None),
        ("Order allow,deny\nAllow from all\nDeny from 192.0.2.1", None),
        ("Order allow,deny\nAllow from all\nDeny from all", 3),
        ("Order deny,allow", None),
        ("Order deny,allow\nDeny from all", 2),
        ("Order deny,allow\nDeny from all\nAllow from 192.0.2.1", None),
        ("Order allow,deny\nOrder deny,allow", None),
        ("Allow from all", None),
    ],
)
def test_which_directive_refuses_everybody(scope, text, line):
    denied = scope(text).denied()
    assert (denied and denied.where) == (line and f"text:{line}")


@pytest.mark.parametrize(
    ("text", "name", "handler"),
    [
        ("AddHandler x .php", "a.jpg", ""),
        ("AddHandler x .PHP", "a.php", "x"),
        ("AddHandler x php", "a.PHP.jpg", "x"),
        ("AddHandler x a", "a", ""),
        ("AddHandler x php\nAddHandler y inc", "a.php.inc", "y"),
        ("AddHandler x php\nRemoveHandler .php", "a.php", ""),
        ("AddHandler x php\nRemoveType .php", "a.php", "x"),
        ("AddType application/x-httpd-php php", "a.php", "application/x-httpd-php"),
        ("AddType application/x-httpd-php php\nRemoveType .php", "a.php", ""),
        ("AddType text/x-server-parsed shtml", "a.shtml", "text/x-server-parsed"),
        ("AddType image/x php", "a.php", ""),
        ("AddType application/x-httpd-php php\nphp_flag engine off", "a.php", ""),
        ("AddType application/x-httpd-php php\nphp_admin_flag engine 0", "a.php", ""),
        (
            "AddType application/x-httpd-php php\nphp_flag engine on",
            "a.php",
            "application/x-httpd-php",
        ),
        (
            "AddType application/x-httpd-php php\nphp_flag other off",
            "a.php",
            "application/x-httpd-php",
        ),
        ("ForceType application/x-httpd-php", "a.jpg", "application/x-httpd-php"),
        ("AddType application/x-httpd-php php\nForceType image/jpeg", "a.php", ""),
        ("SetHandler x", "a.jpg", "x"),
        ("AddHandler y php\nSetHandler x", "a.php", "x"),
        ("AddHandler y php\nSetHandler None", "a.php", "y"),
        ("AddHandler y php\nSetHandler default-handler", "a.php", ""),
        ("AddHandler Default-Handler php", "a.php", ""),
    ],
)
def test_the_handler_of_a_name(scope, text, name, handler):
    assert scope(text).handler(name)[0] == handler


def test_switches(scope):
    assert scope("AcceptPathInfo On").is_on("acceptpathinfo", default=False)
    assert scope("AcceptPathInfo 1").is_on("acceptpathinfo", default=False)
    assert not scope("AcceptPathInfo Off").is_on("acceptpathinfo", default=True)
    assert scope("AcceptPathInfo").is_on("acceptpathinfo", default=True)
    assert not scope("").is_on("acceptpathinfo", default=False)


def test_a_condition_that_may_decide_the_answer_is_refused(scope):
    condition = '"%{HTTP_COOKIE} == 1"'
    assert scope(within(f"If {condition}", "Header set a b")).denied() is None
    for name in ("If", "ElseIf", "Else"):
        text = within("Directory /srv", within(f"{name} {condition}", "Require all denied"))
        with pytest.raises(UndecidedError, match="the condition at text:2 decides require"):
            scope(text)
        assert scope(text.replace("/srv", "/other")).denied() is None


@pytest.mark.parametrize(
    ("top", "www", "is_read"),
    [
        ("", "", False),
        ("AllowOverride None", "", False),
        ("AllowOverride All", "", True),
        ("AllowOverride none FileInfo", "", True),
        ("AllowOverrideList Redirect", "", True),
        ("AllowOverride All", "AllowOverride None", False),
        ("AllowOverride None", "AllowOverride All", True),
    ],
)
def test_when_the_file_of_a_customer_is_read(tmp_path, top, www, is_read):
    plant(tmp_path / "www", "a.jpg")
    rest = within("Directory {top}", top) + within("Directory {top}/www", www)
    htaccess = b"Require all denied\n"
    location = by_apache(tmp_path, APACHE_HOST % rest, "http://a.example/a.jpg", htaccess)
    assert location.kind.value == ("no-file" if is_read else "file")
    assert (f"{tmp_path}/www/.htaccess is read" in location.why) == is_read
    other = by_apache(
        tmp_path, APACHE_HOST % f"{rest}AccessFileName .other", "http://a.example/a.jpg"
    )
    assert other.kind.value == "file"


def test_a_condition_of_a_virtual_host_is_undecided(tmp_path):
    text = APACHE_HOST % '<If "%{{HTTP_COOKIE}} == 1">\nRedirect / /x\n</If>'
    location = by_apache(tmp_path, text)
    assert location.kind.value == "undecided"
    assert "decides redirect" in location.reason


@pytest.mark.parametrize("name", ["a.jpg", "A.JPG.txt", "x.php.jpg", "x.PHP", "y.phtml", "z.jpg"])
def test_handlers_by_extension(tmp_path, name):
    plant(tmp_path / "www", name)
    rest = (
        'AddHandler x-php .php\nAddType application/x-httpd-php phtml\n<FilesMatch "^z">\n'
        'SetHandler "proxy:unix:/run/php.sock|fcgi://localhost"\n</FilesMatch>'
    )
    location = by_apache(tmp_path, APACHE_HOST % rest, f"http://a.example/{name}")
    assert location.kind.value == ("file" if name in {"a.jpg", "A.JPG.txt"} else "script")
    assert location.path == name.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<Files x>\n", "not closed"),
        (b"# " + b"x" * 300_000, "larger than 256 KiB"),
        (b"Include /etc/passwd\n", ""),
        (b"\xff\x00\xfe \\\n" * 100, ""),
        (b"<" * 1000 + b"\n", ""),
        (b"<Files a>\n" * 100, ""),
    ],
)
def test_a_hostile_htaccess(tmp_path, content, words):
    plant(tmp_path / "www", "a.jpg")
    rest = "<Directory {top}/www>\nAllowOverride All\n</Directory>"
    location = by_apache(tmp_path, APACHE_HOST % rest, "http://a.example/a.jpg", content)
    assert location.kind.value in ({"undecided"} if words else {"undecided", "file"})
    assert words in location.reason


def test_an_htaccess_that_is_a_link_or_a_fifo_is_not_followed(tmp_path):
    plant(tmp_path / "www", "a.jpg")
    rest = "<Directory {top}/www>\nAllowOverride All\n</Directory>"
    os.mkfifo(tmp_path / "www" / ".htaccess")
    assert by_apache(tmp_path, APACHE_HOST % rest, "http://a.example/a.jpg").kind.value == "file"
    os.unlink(tmp_path / "www" / ".htaccess")
    os.symlink("/etc/shadow", tmp_path / "www" / ".htaccess")
    location = by_apache(tmp_path, APACHE_HOST % rest, "http://a.example/a.jpg")
    assert "is a link out of the document root" in location.reason
