"""envs/readouts"""
