"""Whatever stands in the file: settings or a ``ConfigError``, and soon."""

import time
import unicodedata

from examples import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hashscan.config.example import render
from hashscan.config.loader import load
from hashscan.config.settings import Settings
from hashscan.errors import ConfigError

TEXT = render().replace("\n#", "\n").replace("  #", "  ").encode()
WORDS = st.sampled_from(
    [
        b"none",
        b"- ",
        b": ",
        b"[",
        b"}",
        b"&a ",
        b"*a",
        b"!!int ",
        b"\n",
        b"  ",
        b"#",
        b'"',
        b"\\ud800",
        b"\x00",
        b"\xff",
        b"9" * 400,
        b"? ",
        b"<<: ",
        b"%",
        b"---\n",
        b"...\n",
        b"\xe2\x80\xa8",
        b"path: /",
        b"kind: local\n",
        b"~",
        b"1e999",
        b"| \n",
    ]
)
UNSAFE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, other ends of lines
BOUND = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def judge(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    start = time.monotonic()
    for check_files in (True, False):
        try:
            assert isinstance(load(str(path), check_files=check_files), Settings)
            continue
        except ConfigError as raised:
            error = raised
        assert error.findings
        for finding in error.findings:
            assert not {unicodedata.category(sign) for sign in str(finding)} & UNSAFE
        assert len(str(error)) < 100_000
        assert str(error).encode()
    assert time.monotonic() - start < 60


@given(st.binary(max_size=300))
@example(b"\x00")
@example(b"a: \x85\n")
@example(b"state: /" + b"a" * 100_000)
@BOUND
def test_any_bytes(tmp_path, content):
    judge(tmp_path / "config.yaml", content)


@given(st.data())
@BOUND
def test_changed_examples(tmp_path, data):
    content = TEXT
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 30))
        content = content[:at] + data.draw(WORDS | st.binary(max_size=8)) + content[at + gone :]
    judge(tmp_path / "config.yaml", content)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["/", "none", "auto", "7d", "local", "https://x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *Settings.model_fields,
                    "path",
                    "kind",
                    "known",
                    "source",
                    "root",
                    "url",
                    "listen",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(PLAIN)
@BOUND
def test_any_structure(tmp_path, structure):
    import json

    judge(
        tmp_path / "config.yaml",
        json.dumps(structure, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    )
