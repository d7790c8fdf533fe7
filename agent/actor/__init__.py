"""ACTOR: chooses actions. Holds the policy (mode 1) and planning with the policy as prior (mode 2)."""
