"""Faults of environments: errors, checks of the contract, MuJoCo's warnings, and calls that do not return.

`boundary` is what every call of an environment's own code passes, `process_state` keeps what an environment
changes for the process, and `signal_origin` tells a signal from an exception of the environment. `errors` has the
exceptions, `checks` the wrapper that checks every step, `mujoco_warnings` the monitor of MuJoCo's warnings, and
`watchdog` the thread that ends a process whose environment does not return.
"""
