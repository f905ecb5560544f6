"""Manifests that every cluster starts with."""
