"""The rules of comparing this system with the old one from the same state.

Here: the model of the old algorithm, the named faults of the old system, what each difference is,
and the gate. Not here: reading either side (`storage.shadow`), and when it is done
(`services.shadow`).
"""
