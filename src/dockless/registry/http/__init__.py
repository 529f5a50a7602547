"""HTTP for the registry client. `session.HttpSession.send` is the entry point; nothing else opens a socket."""
