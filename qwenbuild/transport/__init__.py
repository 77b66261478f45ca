"""The way to a server: connections, proxies, certificates, guarded addresses, and secrets kept out of words.

Knows no vendor.
"""
