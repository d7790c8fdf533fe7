"""envs/state"""
