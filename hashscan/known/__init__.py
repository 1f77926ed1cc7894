"""The known set, which is made from digest lists, and the allow-list.

``lists`` reads published digest lists. ``filters`` builds, checks and queries filter files.
``confirmers`` gives verdicts on digests, from local lists or from the central service.
"""
