"""A mail server in a box: what every provider can do is enough, and it tells later what it could not bring."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

from hub.model.sink import Receipt
from hub.testing import sink


class Simulator(sink.Simulator):
    """Takes mail, and forgets nothing of whom it took it for."""

    def receipts(self, reference: str) -> Iterator[tuple[bytes, Receipt | None]]:
        """Speak as Postfix does (RFC 3464), with the whole mail or its headers; and as an answering machine."""
        for action, status, said in (
            ("failed", "5.1.1", Receipt(reference, arrived=False, code="dsn_5.1.1", bounced=True)),
            ("failed", "5.2.2", Receipt(reference, arrived=False, code="dsn_5.2.2")),
            ("failed", "?", Receipt(reference, arrived=False, code="dsn_")),
            ("delivered", "2.0.0", Receipt(reference, arrived=True, code="dsn_2.0.0")),
            ("delayed", "4.4.1", None),
        ):
            for kind in ("message/rfc822", "text/rfc822-headers"):
                yield _notification(reference, action, status, kind), said
        yield b"From: anne@example.org\r\nSubject: Absente jusqu'au 15\r\n\r\nJe reviens.\r\n", None


def _notification(reference: str, action: str, status: str, kind: str) -> bytes:
    return (
        dedent(f"""\
        Return-Path: <>
        From: MAILER-DAEMON@mx.grenoble.example (Mail Delivery System)
        To: ne-pas-repondre@grenoble.example
        Subject: Undelivered Mail Returned to Sender
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Message-ID: <20260310074112.8C3F2@mx.grenoble.example>
        Content-Type: multipart/report; report-type=delivery-status; boundary="8C3F2"

        --8C3F2
        Content-Description: Notification
        Content-Type: text/plain; charset=us-ascii

        This is the mail system at host mx.grenoble.example.
        --8C3F2
        Content-Description: Delivery report
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mx.grenoble.example
        Arrival-Date: Tue, 10 Mar 2026 08:41:12 +0100 (CET)

        Final-Recipient: rfc822; anne@example.org
        Action: {action}
        Status: {status}
        Diagnostic-Code: smtp; 550 no such user

        --8C3F2
        Content-Description: Undelivered Message
        Content-Type: {kind}

        From: ne-pas-repondre@grenoble.example
        To: anne@example.org
        Subject: Votre document est en retard
        Message-ID: <{reference}@grenoble.example>

        --8C3F2--
        """)
        .replace("\n", "\r\n")
        .encode()
    )
