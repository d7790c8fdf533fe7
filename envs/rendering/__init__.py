"""envs/rendering"""
