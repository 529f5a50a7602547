"""Host names that stand for addresses of a test's choice, also for others each time."""

import socket
from itertools import cycle

_FAMILIES = {True: socket.AF_INET6, False: socket.AF_INET}


def resolve_names(monkeypatch, names):
    """`names`: a host name -> its addresses, or an iterator of such lists, one for each time that it is resolved.

    Other names are resolved as ever. Returns the list of all names that were looked up.
    """
    real = socket.getaddrinfo
    answers = {name: cycle([found]) if isinstance(found, (list, tuple)) else found for name, found in names.items()}
    asked = []

    def look_up(host, port, *args, **options):
        name = host.decode() if isinstance(host, bytes) else host
        asked.append(name)
        if name not in answers:
            return real(host, port, *args, **options)
        return [
            (_FAMILIES[":" in address], socket.SOCK_STREAM, 6, "", (address, port or 0))
            for address in next(answers[name])
        ]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    return asked
