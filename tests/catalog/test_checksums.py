"""hashscan.catalog.checksums: the checksum of a row."""

from hashscan.catalog.checksums import are_whole, checksum


def test_a_checksum_is_a_signed_number_of_32_bits():
    # These values have the CRC-32 of which the sign is the only bit.
    lowest = checksum(-218850693)
    assert lowest == -(1 << 31)
    assert are_whole([(-218850693, lowest)])
    assert not are_whole([(-218850693, lowest + 1)])
