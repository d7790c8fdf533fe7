"""Actors: processes that act while another one learns, on this machine or on a Ray cluster."""
