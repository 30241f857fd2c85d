"""Mail by SMTP.

A row is sent at least once, always with the same `Message-ID`: a crash between the server's answer
and the row's mark repeats a message that mailboxes recognise as the same one.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from hub.model.errors import Transient
from hub.model.sink import Message, Reply

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")


class Server(NamedTuple):
    """Where mail is handed over."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password_file: Path | None = None
    starttls: bool = False


def compose(server: Server, message: Message) -> EmailMessage:
    """Write a message as mail, under an id that is the same at every try."""
    mail = EmailMessage()
    mail["From"] = server.sender
    mail["To"] = message.address
    mail["Subject"] = message.subject
    mail["Message-ID"] = f"<{message.id}@{server.sender.rpartition('@')[2].rstrip('>')}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.unsubscribe is not None:
        mail["List-Unsubscribe"] = f"<{message.unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(message.text)
    return mail


def send(server: Server, message: Message) -> Reply:
    """Hand one message over and return the answer to it; raise `Transient` when the server does not answer."""
    try:
        with smtplib.SMTP(server.host, server.port, timeout=20) as connection:
            if server.starttls:
                connection.starttls(context=ssl.create_default_context())
            if server.username is not None and server.password_file is not None:
                connection.login(server.username, server.password_file.read_text("utf-8").strip())
            connection.send_message(compose(server, message))
    except smtplib.SMTPAuthenticationError:
        raise Transient("the mail server refuses the password") from None
    except smtplib.SMTPRecipientsRefused as error:
        return _reply(*next(iter(error.recipients.values())))
    except smtplib.SMTPResponseException as error:
        return _reply(error.smtp_code, error.smtp_error)
    except (smtplib.SMTPException, OSError) as error:
        raise Transient(type(error).__name__) from None
    return Reply(250)


def _reply(status: int, words: bytes | str) -> Reply:
    text = words.decode("ascii", "replace") if isinstance(words, bytes) else words
    found = _ENHANCED.match(text.lstrip())
    # A server that hangs up is told with -1: it was not an answer to the message.
    if not 200 <= status < 600:
        raise Transient(f"status {status}")
    return Reply(status, found[0] if found else "")
