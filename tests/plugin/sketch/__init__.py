"""A plug-in of qwenbuild: a provider that draws lines, offline and free."""
