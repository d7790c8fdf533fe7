"""Faults of environments: errors, checks of the contract, MuJoCo's warnings, and calls that do not return.

`errors` has the exceptions, `checks` the wrapper that checks every step, `mujoco_warnings` the monitor of
MuJoCo's warnings, and `watchdog` the thread that ends a process whose environment does not return.
"""
