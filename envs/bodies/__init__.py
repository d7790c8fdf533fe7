"""envs/bodies"""
