"""envs/changes"""
