"""envs/faults"""
