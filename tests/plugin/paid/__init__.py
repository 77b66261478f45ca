"""Another plug-in: a provider that asks a server and is paid in a unit of its own."""
