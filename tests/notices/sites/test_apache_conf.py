"""Apache's files become directives and sections, with those of included files in their places."""

import copy

import pytest
from apache_parts import directives, reader
from located_sites import by_apache

from hashscan.notices.sites.apache_conf import ApacheReader
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.read_files import ReadFiles


def main(top, text):
    (top / "main.conf").write_text(text)
    return ApacheReader(str(top), ReadFiles()).main(str(top / "main.conf"))


def test_the_words_of_a_line():
    text = 'ServerAlias a \\\r\n  "b c" \'d\\\'e\' "f\\"g\\\\" h\r\n# none \\\nServerAlias i\n\n  listen 80'
    first, second = directives(text)
    assert (first.name, first.args) == ("serveralias", ("a", "b c", "d'e", 'f"g\\', "h"))
    assert (first.where, first.block) == ("text:1", None)
    assert (second.name, second.args, second.where) == ("listen", ("80",), "text:6")


def test_a_section_has_its_directives_as_a_block():
    (section,) = directives(
        '<Directory "/a b">\nOptions None\n<Limit GET>\n</Limit>\n</Directory >\n'
    )
    assert (section.name, section.args, section.raw) == ("directory", ("/a b",), '"/a b"')
    assert [(one.name, one.block) for one in section.block] == [("options", None), ("limit", ())]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("IfModule mod_rewrite.c", True),
        ("IfModule rewrite_module", True),
        ("IfModule mod_ssl.c", False),
        ("IfModule !mod_ssl.c", True),
        ("IfModule !mod_rewrite.c", False),
        ("IfModule mod_so.c", True),
        ("IfModule core", True),
        ("IfDefine A", True),
        ("IfDefine !A", False),
        ("IfDefine B", False),
        ("IfVersion 2.4", True),
        ("IfVersion == 2.4", True),
        ("IfVersion = 2.2", False),
        ("IfVersion != 2.4", False),
        ("IfVersion >= 2.4", True),
        ("IfVersion > 2.4", False),
        ("IfVersion < 2.4.10", False),
        ("IfVersion <= 2.4", True),
        ("IfVersion < 2.6", True),
        ("IfVersion ~ 2.4", False),
        ("IfFile main.conf", True),
        ("IfFile none.conf", False),
    ],
)
def test_the_conditions_of_sections(tmp_path, condition, holds):
    name = condition.partition(" ")[0]
    found = main(
        tmp_path,
        "LoadModule rewrite_module modules/mod_rewrite.so\nDefine A\nDefine B\nUnDefine B\n"
        f"<{condition}>\n<{name} none>\n</{name}>\nServerName in\n</{name}>\nServerAlias after\n"
        if name != "IfVersion"
        else f"<{condition}>\nServerName in\n</{name}>\nServerAlias after\n",
    )
    names = [one.name for one in found if one.name.startswith("server")]
    assert names == (["servername", "serveralias"] if holds else ["serveralias"])


def test_variables_are_replaced_once_they_are_defined(tmp_path):
    text = (
        "Listen ${N}\nDefine N 80\nListen ${N}\nDefine N\nListen ${N}1\nUnDefine N\nListen ${N}\n"
    )
    found = [one.args for one in main(tmp_path, text) if one.name == "listen"]
    assert found == [("${N}",), ("80",), ("1",), ("${N}",)]


@pytest.mark.parametrize(
    ("include", "files"),
    [
        ("Include sites/*.conf", ["a", "b"]),
        ("Include sites/.*.conf", ["hidden"]),
        ("Include sites/[b].conf", ["b"]),
        ("Include */?.conf", ["a", "b"]),
        ("Include sites/b.conf", ["b"]),
        ("Include sites", ["hidden", "a", "b", "deep"]),
        ("Include none/*.conf", []),
        ("IncludeOptional none.conf", []),
        ("IncludeOptional none/*.conf", []),
        ("ServerRoot {top}/sites\nInclude b.conf", ["b"]),
        ("ServerRoot /none\nInclude {top}/sites/b.conf", ["b"]),
    ],
)
def test_which_files_are_included(tmp_path, include, files):
    (tmp_path / "sites" / "more").mkdir(parents=True)
    for name, place in (("a", "a"), ("b", "b"), ("hidden", ".h"), ("deep", "more/d")):
        (tmp_path / "sites" / f"{place}.conf").write_text(f"Listen {name}\n")
    found = main(tmp_path, include.format(top=tmp_path) + "\nListen last\n")
    assert [one.args[0] for one in found if one.name == "listen"] == [*files, "last"]


def test_sections_are_nested_thirty_times_and_not_more():
    def nested(count):
        return "<Limit GET>\n" * count + "</Limit>\n" * count

    assert directives(nested(30))
    with pytest.raises(UndecidedError, match="text: too many nested sections"):
        directives(nested(31))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<VirtualHost *:80>\n", "is not closed"),
        ("</Directory>\n", "closes another section"),
        ("Include none.conf\n", "there is no"),
        ("Include apache2.conf\n", "includes itself"),
        ("Use Site a.example\n", "evaluates no macros"),
        ("<IfDirective x>\n</IfDirective>\n", "cannot evaluate"),
        ("\n<IfModule none>\n<IfModule none>\n</IfModule>\n", "apache2.conf:2: the section ifmodule is not closed"),
        ("<IfModule>\n</IfModule>\n", "apache2.conf:1: the section ifmodule has no condition"),
        ("<IfVersion new>\n</IfVersion>\n", "IfVersion new is not understood"),
        ("Include\n", "apache2.conf:1: Include names no file"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read(tmp_path, text, words):
    location = by_apache(tmp_path, text)
    assert location.kind.value == "undecided"
    assert words in location.reason


def test_a_customers_file_changes_nothing_for_the_next_question():
    apache = reader()
    before = copy.deepcopy(apache.state)
    apache.htaccess(".htaccess", b"Define A b\nServerRoot /x\nLoadModule m_module mod_m.so\n")
    assert apache.state == before
    with pytest.raises(UndecidedError, match="a macro is used"):
        apache.htaccess(".htaccess", b"Use Macro\n")
