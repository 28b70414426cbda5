"""Tests of comparing with the old system."""
