// Alerts and OpenSSL's reasons in plain words. A line is number | name | meaning | causes by semicolons.

extension Explanation {
    /// The entries of a table of lines.
    static func table(_ kind: Kind, _ lines: String) -> [Explanation] {
        lines.split(whereSeparator: \.isNewline).map { line in
            let parts = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmed }
            let causes = parts.count > 3 ? parts[3].split(separator: ";").map(\.trimmed) : []
            return Explanation(kind, Int(parts[0]), parts[1], parts[2], causes)
        }
    }

    /// The alerts of the registry.
    static let alerts = table(
        .alert,
        """
        0 | close_notify | The sender is done and ends the connection in good order. | Nothing is wrong
        10 | unexpected_message | A message came that does not belong here. | One side is broken or is no TLS; a middlebox changed the bytes
        20 | bad_record_mac | A record did not decrypt. | Bytes were changed on the way; one side has other keys; hardware faults
        21 | decryption_failed | A record did not decrypt; no longer sent. | An old implementation
        22 | record_overflow | A record is larger than allowed. | The peer is no TLS; bytes were changed on the way
        30 | decompression_failure | A record could not be unpacked; no longer sent. | An old implementation
        40 | handshake_failure | No parameters that both sides accept. | No cipher suite in common; no group in common; a certificate of the client is demanded (TLS 1.2); no certificate of the server fits the signature algorithms
        41 | no_certificate | The client has no certificate (SSL 3.0). | A certificate of the client is demanded
        42 | bad_certificate | A certificate is broken, or its signature is wrong. | A damaged file; the wrong chain
        43 | unsupported_certificate | The certificate is of a kind that is not accepted. | It may not be used for this purpose; a key type that the peer does not know
        44 | certificate_revoked | Its issuer has revoked the certificate. | It must be replaced
        45 | certificate_expired | The certificate is expired or not yet valid. | It was not renewed; the clock is wrong
        46 | certificate_unknown | The certificate is refused for another reason. | A rule of the application; a name that does not match
        47 | illegal_parameter | A field has a value that is not allowed. | One side is broken; a key share that is no point of its curve
        48 | unknown_ca | The chain leads to no anchor of the peer. | The server does not send an intermediate; a private authority that the peer does not trust; a self-signed certificate
        49 | access_denied | The certificate is in order, and its holder does not come in. | A rule of access
        50 | decode_error | A message could not be read. | One side is broken; bytes were changed on the way
        51 | decrypt_error | A signature or a proof of the handshake is wrong. | Certificate and key do not belong together; a wrong preshared key
        60 | export_restriction | A key that was not allowed to leave a country; no longer sent. | An old implementation
        70 | protocol_version | No version in common. | The client is too old; the server speaks TLS 1.3 alone, or nothing newer than TLS 1.1
        71 | insufficient_security | What was offered is too weak for the server. | Only weak suites or small keys were offered
        80 | internal_error | Something went wrong at the sender, not the peer. | The server lacks a key or a file; out of memory; see its log
        86 | inappropriate_fallback | The client tries an older version again, though the server speaks a newer one. | An attacker or a broken network made the first attempt fail
        90 | user_canceled | The sender gives the handshake up. | Somebody changed their mind
        100 | no_renegotiation | A renegotiation is refused. | It is switched off, as it should be
        109 | missing_extension | An extension that is needed was not sent. | One side is broken; a server that demands a servername
        110 | unsupported_extension | An extension came that nobody asked for. | The server is broken
        111 | certificate_unobtainable | A certificate could not be fetched from its address. | An address of the client that the server cannot reach
        112 | unrecognized_name | No host of this name here. | The servername is missing or misspelt; the name is not configured; `ssl_reject_handshake` of nginx, `strict-sni` of haproxy
        113 | bad_certificate_status_response | The stapled OCSP response does not do. | It is expired or for another certificate
        114 | bad_certificate_hash_value | A certificate fetched from an address is another. | The address holds something else
        115 | unknown_psk_identity | The server does not know a preshared key of this name. | A misspelt identity; the key was removed
        116 | certificate_required | A certificate of the client is demanded, and none came. | Give the client a certificate and its key
        120 | no_application_protocol | No application protocol in common. | ALPN offers nothing that the server speaks, for example h2 alone
        121 | ech_required | The server wants the encrypted ClientHello, and could not read it. | The client's configuration of ECH is old
        """
    )

    /// Reasons of OpenSSL's libssl that users meet; those of alerts are their numbers and 1000.
    static let openssl = table(
        .openssl,
        """
        103 | bad change cipher spec | A message that ends a phase is malformed. | Bytes were changed on the way
        102 | bad dh value | The server's value for Diffie-Hellman is out of range. | The server is broken
        118 | no suitable signature algorithm | No signature scheme fits the certificate's key. | The client offers no scheme for this key; the security level forbids those that are offered
        123 | bad signature | A signature of the handshake is wrong. | Certificate and key do not belong together
        134 | certificate verify failed | The peer's certificate was not accepted; the verdict says why. | See the number of the verification error; the authority is not trusted here; an intermediate is not sent
        155 | https proxy request | What came is a request to a proxy, not TLS. | The client takes this server for a proxy
        156 | http request | What came is HTTP without TLS. | The client speaks http:// to a port of https://
        185 | no cipher match | No cipher suite is left. | A cipher string that matches nothing; the security level forbids all of them
        193 | no shared cipher | Server and client have no suite in common. | Another type of certificate than the client can use; suites of one side are switched off; no group in common
        235 | no application protocol | No application protocol in common. | ALPN offers nothing that the server speaks
        244 | unexpected message | A message came that does not belong here. | The peer is broken or speaks something else
        258 | unsupported protocol | The peer wants a version that is not spoken here. | It is too old; the least version or the security level is too high
        267 | wrong version number | What came is no TLS record. | The port speaks another protocol: plain HTTP, or one that begins TLS with STARTTLS
        294 | unexpected eof while reading | The peer hung up without close_notify. | It ended the process, or does not say goodbye as it should; a cut connection
        333 | legacy sigalg disallowed or unsupported | A signature with SHA-1 or MD5 is not accepted. | An old server; the security level is 1 or more
        338 | unsafe legacy renegotiation disabled | The server knows no safe renegotiation. | An old server without RFC 5746
        394 | dh key too small | The server's prime for Diffie-Hellman is too small. | An old server; take ECDHE, or a larger prime
        399 | ee key too small | The certificate's key is too small for the security level. | RSA of less than 2048 bits at level 2
        396 | version too low | The peer's version is older than allowed. | The peer is too old; the security level is too high
        397 | ca key too small | A key in the chain is too small for the security level. | An old authority
        398 | ca md too weak | A signature in the chain has too weak a hash. | SHA-1 or MD5
        373 | inappropriate fallback | The client tries an older version again, though a newer one is spoken. | A broken network made the first attempt fail
        281 | decryption failed or bad record mac | A record did not decrypt. | Bytes were changed on the way
        199 | peer did not return a certificate | A certificate of the client is demanded, and none came. | Give the client a certificate and its key
        """
    )
}

extension Substring {
    /// Without spaces at both ends.
    fileprivate var trimmed: String {
        let start = drop { $0 == " " }
        return String(
            start[..<(start.lastIndex { $0 != " " }.map(start.index(after:)) ?? start.startIndex)]
        )
    }
}
