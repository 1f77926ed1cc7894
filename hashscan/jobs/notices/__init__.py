"""Rounds over notices: finds the files of items, decides, moves them, settles items.

``one_round`` goes over the open items: ``locate_files`` finds their files, ``hash_files`` hashes
them, ``items`` judges and settles, ``act`` decides and moves, ``returned_files`` reopens.
"""
