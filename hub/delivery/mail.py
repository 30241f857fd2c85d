"""Mail by SMTP.

A row is sent at least once, always with the same `Message-ID`: a crash between the server's answer
and the row's mark repeats a message that mailboxes recognise as the same one.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.model.errors import Transient


class Refused(Exception):
    """The server will never take this message; `code` is its SMTP status."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Server(NamedTuple):
    """Where mail is handed over."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password_file: Path | None = None
    starttls: bool = False


_TEMPLATES = Environment(
    loader=PackageLoader("hub.delivery"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - plain text
    trim_blocks=True,
    lstrip_blocks=True,
)


def compose(row_id: str, sender: str, address: str, template: str, values: Mapping[str, str]) -> EmailMessage:
    """Write a message from its template: the first line is the subject."""
    text = _TEMPLATES.get_template(f"{template}.txt").render(values)
    subject, _, body = text.partition("\n")
    message = EmailMessage()
    message["From"] = sender
    message["To"] = address
    # A value of a vendor must not be able to start a header of its own.
    message["Subject"] = " ".join(subject.split())
    message["Message-ID"] = f"<{row_id}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.strip() + "\n")
    return message


def send(server: Server, message: EmailMessage) -> None:
    """Hand one message over; raise `Refused` for ever, `Transient` for now."""
    try:
        with smtplib.SMTP(server.host, server.port, timeout=20) as connection:
            if server.starttls:
                connection.starttls(context=ssl.create_default_context())
            if server.username is not None and server.password_file is not None:
                connection.login(server.username, server.password_file.read_text("utf-8").strip())
            connection.send_message(message)
    except smtplib.SMTPAuthenticationError:
        raise Transient("the mail server refuses the password") from None
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        _judge(code)
    except smtplib.SMTPResponseException as error:
        _judge(error.smtp_code)
    except (smtplib.SMTPException, OSError) as error:
        raise Transient(type(error).__name__) from None


def _judge(code: int) -> None:
    if 500 <= code < 600:
        raise Refused(f"smtp_{code}") from None
    raise Transient(f"status {code}") from None
