"""Rounds over the items of notices: finds files, decides, moves files, settles items.

A round is one pass over the items of all notices: ``locate_files`` finds the files of an item,
``hash_files`` hashes the files, ``items`` judges the files and settles the item, ``act`` decides
and moves files, ``returned_files`` reopens items whose files are back, ``one_round`` runs these
steps.
"""
