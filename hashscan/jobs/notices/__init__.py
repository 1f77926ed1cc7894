"""Rounds over the items of notices: finds files, decides, moves files, settles items.

``one_round`` works on the open items: ``locate_files`` finds their files, ``hash_files`` hashes
them, ``items`` judges and settles, ``act`` decides and moves, ``returned_files`` reopens items.
"""
