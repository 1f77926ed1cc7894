"""Names of a repository's files, and the signed metadata of its targets."""

import copy
import json

import pytest
from filter_faults import make
from tuf.api.metadata import TargetFile

from hashscan.errors import FilterError
from hashscan.known.filters.metadata import TierMetadata
from hashscan.known.sync.layout import (
    CUSTOM,
    FilterTarget,
    PatchTarget,
    TierPatchTarget,
    TierTarget,
    custom_of,
    is_target_file,
    metadata_file,
    patch_target,
    read_custom,
    target_file,
    version_of,
    whole_target,
)

A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """One target of each kind, by its path."""
    metadata = make(tmp_path_factory.mktemp("layout") / "f.filter")
    facts = metadata.model_dump(exclude={"category", "algorithms"})
    tier = TierMetadata.model_validate({**facts, "tier": "sizes", "filter": B})
    patch = {"base": A, "base_created": "2026-01-02T03:04:05Z", "length": 7}
    name = metadata.category
    return {
        f"{name}/filter.zst": FilterTarget(metadata=metadata),
        f"{name}/patch-from-{A}.zst": PatchTarget(metadata=metadata, **patch),
        f"{name}/sizes.zst": TierTarget(metadata=tier),
        f"{name}/sizes-patch-from-{A}.zst": TierPatchTarget(metadata=tier, **patch),
    }


def read(path, custom):
    return read_custom(TargetFile(1, {"sha256": A}, path, {"custom": custom}))


def test_names_of_files():
    assert target_file("baseline/filter.zst", A) == f"baseline/{A}.filter.zst"
    assert target_file("filter.zst", A) == f"{A}.filter.zst"
    assert whole_target("baseline", "heads") == "baseline/heads.zst"
    assert patch_target("baseline", "filter", A) == f"baseline/patch-from-{A}.zst"
    assert patch_target("baseline", "sizes", A) == f"baseline/sizes-patch-from-{A}.zst"
    assert metadata_file("root", 7) == "7.root.json"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1.root.json", ("root", 1)),
        ("999999999.targets.json", ("targets", 999999999)),
        ("12.snapshot.json", ("snapshot", 12)),
        ("1000000000.root.json", None),
        ("0.root.json", None),
        ("01.root.json", None),
        ("1.timestamp.json", None),
        ("root.json", None),
        ("1.root.json.tmp", None),
    ],
)
def test_the_version_in_a_name(name, version):
    assert version_of(name) == version


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (f"{A}.filter.zst", True),
        (f"{A}.sizes.zst", True),
        (f"{A}.heads.zst", True),
        (f"{A}.patch-from-{B}.zst", True),
        (f"{A}.heads-patch-from-{B}.zst", True),
        (f"{A}.other.zst", False),
        (f"{A}.other-patch-from-{B}.zst", False),
        (f"{A}.filter.zst.tmp", False),
        (f"{A[1:]}.filter.zst", False),
        (f"{'A' * 64}.filter.zst", False),
        ("filter.zst", False),
        (f"{A}.patch-from-{B[1:]}.zst", False),
    ],
)
def test_names_of_published_targets(name, is_one):
    assert is_target_file(name) == is_one


def test_what_is_signed_is_read_as_it_was(targets):
    for path, target in targets.items():
        custom = custom_of(target)
        found = read(path, json.loads(json.dumps(custom)))
        assert type(found) is type(target)
        assert found == target.model_copy(
            update={"metadata": target.metadata.model_copy(update={"checksum": ""})}
        )
        signed = custom[CUSTOM]["metadata"]
        assert signed["error_rate"] == repr(target.metadata.error_rate), (
            "canonical JSON has no fraction"
        )
        assert "checksum" not in signed


def test_a_target_at_the_path_of_another_one_is_refused(targets):
    for path, target in targets.items():
        for other in (*targets, f"other/{path.partition('/')[2]}", path.replace(A, B)):
            if other == path or (other.startswith("other/") and hasattr(target.metadata, "tier")):
                continue  # a tier does not name its category: its path does
            with pytest.raises(FilterError, match="says that it is another target"):
                read(other, custom_of(target))


@pytest.mark.parametrize(
    "change",
    [
        lambda custom: custom.pop(CUSTOM),
        lambda custom: custom.update(hashscan=[]),
        lambda custom: custom[CUSTOM].pop("kind"),
        lambda custom: custom[CUSTOM].update(kind="filter"),
        lambda custom: custom[CUSTOM].update(more=1),
        lambda custom: custom[CUSTOM].pop("base"),
        lambda custom: custom[CUSTOM].update(base="A" * 64),
        lambda custom: custom[CUSTOM].update(base=A[1:]),
        lambda custom: custom[CUSTOM].update(base_created="x" * 33),
        lambda custom: custom[CUSTOM].update(length=0),
        lambda custom: custom[CUSTOM].update(length="7"),
        lambda custom: custom[CUSTOM].update(metadata=7),
        lambda custom: custom[CUSTOM]["metadata"].pop("error_rate"),
        lambda custom: custom[CUSTOM]["metadata"].update(error_rate="x"),
        lambda custom: custom[CUSTOM]["metadata"].update(error_rate="0.2"),
    ],
)
def test_metadata_without_sense_is_refused(targets, change):
    path, target = list(targets.items())[1]
    custom = copy.deepcopy(custom_of(target))
    change(custom)
    with pytest.raises(FilterError, match="has no sane metadata; tell the publisher"):
        read(path, custom)


def test_a_target_without_custom_metadata_is_refused():
    for custom in (None, [], "x"):
        with pytest.raises(FilterError, match=r"'baseline/filter[.]zst' has no sane metadata"):
            read("baseline/filter.zst", custom)
