"""The known set: from digest lists to filters and verdicts.

``lists`` (with ``kinds``, ``vics`` and ``entries``) reads digest lists as they come; ``bloom`` and
``metadata`` are the filter file and its checks; ``build`` makes one (through ``staging``, on disk).
``local`` keeps filter and ``index`` of local lists and answers from them;
``hashcheckservice`` (with ``bounded_http``, ``http_trouble``, ``breaker`` and ``service_url``) asks
the central service.
"""
