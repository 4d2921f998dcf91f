"""Pure data and decisions: no I/O, no asyncio, no Textual. Everything else imports this; it imports nothing of ours."""
