"""COST: the energy of imagined futures. Holds the critic, returns, tasks, readouts and constraints."""
