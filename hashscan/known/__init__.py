"""The known set: from digest lists to filters and verdicts; the allow-list.

``lists`` reads published digest lists; ``filters`` makes, checks and asks filter files;
``confirmers`` gives verdicts, from local lists or the central service.
"""
