# One conversation of the standard library's clients that starts TLS:
#
#   starttls.py smtp|pop3|imap|ftp ADDRESS PORT ROOT TLSv1_2|TLSv1_3
#
# Prints the version that was negotiated. Whatever goes wrong is an exception, and exit code 1.

import ftplib
import imaplib
import poplib
import smtplib
import ssl
import sys

protocol, address, port, root, version = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
port = int(port)

if protocol == "smtp":
    with smtplib.SMTP(address, port) as client:
        client.starttls(context=context)
        client.sendmail("a@x.test", ["b@x.test"], "Subject: it\r\n\r\nhello\r\n")
        print(client.sock.version())
elif protocol == "pop3":
    client = poplib.POP3(address, port)
    client.stls(context=context)
    assert client.stat() == (1, 100)
    print(client.sock.version())
    client.quit()
elif protocol == "imap":
    client = imaplib.IMAP4(address, port)
    client.starttls(ssl_context=context)
    assert client.noop()[0] == "OK"
    print(client.sock.version())
    client.logout()
else:
    client = ftplib.FTP_TLS(context=context)
    client.connect(address, port)
    client.auth()
    assert client.sendcmd("NOOP").startswith("200")
    print(client.sock.version())
    client.quit()
