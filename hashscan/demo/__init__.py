"""``hashscan demo``: the whole job on a sample volume, and a self-test of the machine.

``workplace`` is the directory for it, ``sample`` makes the volume and its digest lists there,
``tree`` reads the volume without the agent's own code, ``stage`` runs commands, shows them and
compares, and ``story`` has the steps in order.
"""
