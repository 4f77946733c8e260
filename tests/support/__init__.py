"""Builders that several tests share: networks, pictures, a Hub on this machine."""
