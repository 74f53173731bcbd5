// This tool's own words: findings, exit codes, results. A line is number | name | meaning | causes.

extension Explanation {
    /// The findings of all commands.
    static let findings = table(
        .finding,
        """
         | expired | A certificate is outside its validity: it is over. | It was not renewed; the server was not told to read the new one
         | not-yet-valid | A certificate is not valid yet. | A clock is wrong; it was issued ahead of time
         | untrusted | The chain leads to no anchor, or breaks a rule on the way. | An intermediate is not sent; a private authority
         | self-signed | The certificate signed itself. | A certificate made for tests; a default of the server
         | name-mismatch | The certificate is not for the name. | The wrong virtual host answered; the name is missing among the alternative names
         | must-staple | The certificate demands a stapled OCSP response, and none came. | OCSP stapling is off
         | sha1-signature | A certificate is signed with SHA-1. | An old authority
         | md5-signature | A certificate is signed with MD5. | A very old authority
         | small-key | A key can be searched with enough machines. | RSA under 2048 bits
         | expires-soon | A certificate ends soon. | The renewal failed, or the server does not read the new file
         | no-forward-secrecy | Who gets the key later can read what was recorded today. | RSA key exchange is still allowed
         | tls12-only | TLS 1.3 was offered and not taken. | An old library; it is switched off
         | no-alpn-answer | Protocols were offered and none was chosen. | The server knows no ALPN
         | no-staple | No OCSP response came along. | OCSP stapling is off; the authority has no OCSP any more
         | no-tickets | No session ticket came: each connection is a whole handshake. | Tickets are switched off
         | no-close-notify | The server ended without a goodbye, so a cut cannot be told from an end. | An old or hasty server
         | unused-certificate | A certificate was sent that is not needed. | A file with the wrong intermediates
         | root-sent | The root was sent along. | Needless, and harmless
         | sni-not-acknowledged | The servername was not acknowledged. | It may have been used all the same
         | client-certificate | The server asks for a certificate of the client. | That is how it is configured
         | old-version | A version is spoken that should not be any more. | Switch SSL 3.0, TLS 1.0 and TLS 1.1 off
         | no-tls13 | TLS 1.3 is not spoken. | An old library; it is switched off
         | broken-suite | A suite without encryption or authentication, or one whose key can be searched. | Suites such as NULL, anonymous, EXPORT, RC4 or DES are switched on
         | weak-suite | A suite without forward secrecy, or in CBC mode. | Old clients are supported
         | small-prime | A prime for Diffie-Hellman has less than 2048 bits. | A default of long ago; take ECDHE
         | no-pq-group | No group withstands a quantum computer: what is recorded today may be read one day. | The library is older than OpenSSL 3.5 or its like
         | no-fallback-scsv | A downgrade to an older version is not noticed. | Harmless where no old version is spoken
         | unsafe-renegotiation | Renegotiation is not bound to the handshake before it. | A very old server
         | no-extended-master-secret | The master secret does not cover the handshake. | An old server
         | compression | TLS compression is used, which gives secrets away. | A very old server
         | intolerant | A hello that is in order, and unusual, is not taken. | A load balancer or firewall that reads hellos badly; newer clients will fail there
         | odd-answer | The server chose something that was not offered. | A broken server or middlebox
         | unanswered | Some hellos got no answer. | A limit of connections; a firewall
         | policy | The server does not keep to the policy that was asked for. | See the text of the finding
         | default-certificate | The name gets the certificate for names that are not known. | The name is not configured, or misspelt
         | certificate-varies | One name gets now one certificate, now another. | Several servers behind one address, not all of them renewed
         | fatal-alert | A side ended the handshake with an alert that could be read. | See the alert: explain tells what is usually behind it
         | malformed-hello | What begins like a ClientHello breaks the rules of TLS. | A broken client; something that tries the server out
         | malformed-answer | What answers a ClientHello is no ServerHello. | A server of another protocol; a broken middlebox
         | segments-disagree | Bytes were sent again, and were not the same. | Somebody hides from those who watch; a broken middlebox
         | missing-bytes | Bytes of a flow are not in the capture. | The capture lost packets, or cut them
         | truncated-capture | The file ends within a packet. | The capture was stopped, or the disk was full
         | malformed-capture | The file breaks the rules of its form. | It was damaged on its way, or made to harm
         | capture-limit | There is more in the file than is looked at. | A very busy network; a flood
         | alpn-imposed | The server chooses a protocol that was not offered, which clients must refuse. | A server with one protocol that does not look at the offer
        """
    )

    /// The exit codes.
    static let exits = table(
        .exit,
        """
        0 | clean | Done, and nothing weighs as much as --fail-on. | Nothing is wrong
        1 | findings | Done, with findings, differences, or a policy that is not kept. | See the findings
        2 | usage | Wrong usage, or a file that cannot be read or used. | See standard error
        3 | noConnection | No TCP connection. | The name has no address; nobody listens; a firewall
        4 | noHandshake | A TCP connection, and no TLS handshake. | An alert; STARTTLS refused; a port of another protocol; the server hung up
        5 | untrusted | A handshake, and a certificate that is not trusted or is for another name. | See the verdict
        70 | internalError | A bug of this tool. | Please report it
        """
    )

    /// What reports come to.
    static let results = table(
        .result,
        """
         | ok | All went well. | Nothing is wrong
         | untrusted | A handshake, and a chain that is not trusted. | An intermediate is not sent; a private authority; an expired certificate
         | name_mismatch | A handshake and a trusted chain, for another name. | The wrong virtual host answered
         | unresolved | The name has no address. | A misspelt name; DNS does not work
         | refused | Nobody listens on that port. | The server is not running, or on another port
         | unreachable | There is no route to the address. | A network that is down; IPv6 without a route
         | connection_failed | No connection for another reason. | See the message
         | timeout | Time was up. | A firewall that drops packets; a port of a protocol where the server speaks first
         | alert | The server refused with an alert. | See the alert
         | not_tls | What answers does not speak TLS. | Plain HTTP; a protocol that begins TLS with STARTTLS
         | closed | The connection ended during the handshake. | A proxy that does not know the name; a limit of connections
         | starttls_refused | The protocol in the clear did not lead to TLS. | TLS is not set up there; a port of another protocol; a limit of connections
         | handshake_failed | The handshake failed in another way. | See the message
         | invalid | The arguments or the files they name cannot be used. | See the message
         | internal_error | A bug of this tool. | Please report it
        """
    )
}
