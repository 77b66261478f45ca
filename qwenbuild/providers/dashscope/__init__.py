"""Alibaba Model Studio (DashScope): requests, answers, error codes and the list of tasks.

Knows no other vendor.
"""
