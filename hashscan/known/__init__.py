"""The known set: from digest lists to filters and verdicts.

``lists`` reads digest lists as they come; ``filters`` makes, checks and asks filter files;
``confirmers`` gives verdicts, from local lists or the central service.
"""
