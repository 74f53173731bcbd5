// The seed's TLS dictionary for clients, and its way into the engine's configuration.

/// The TLS members of a client socket (seed `TLSSocketInit`).
public struct TLSSocketInit: Hashable, Sendable {
    /// Application protocols to offer, most preferred first (seed `alpn`, RFC 7301).
    public var alpn: [String] = []
    /// The name to send and to verify; nil takes the remote's name, the empty string sends none (seed
    /// `servername`, RFC 6066 §3).
    ///
    /// An IP address is never sent; the certificate is matched against it.
    public var servername: String?
    /// The client's private key in PEM or DER (seed `key`).
    public var key: [UInt8]?
    /// The client's certificate chain in PEM, or one certificate in DER (seed `cert`).
    public var cert: [UInt8]?
    /// Opens an encrypted key (seed `passphrase`).
    public var passphrase: SecretBytes?
    /// A name for what the connection is for; sessions are resumed only under the same one (seed
    /// `sessionIDContext`).
    public var sessionIDContext = ""
    /// How long after a full handshake its sessions may be resumed, 1 s to 7 days; nil is what the server
    /// says (seed `sessionTimeout`).
    public var sessionTimeout: Duration?
    /// A session to resume: an export of this package (``TLSSocketInfo/session``, ``Socket/sessions``), or
    /// OpenSSL's own form, with what ``TLSSession/init(_:ticket:key:)`` says it loses (seed `session`).
    ///
    /// What is neither, or was changed, is an error. What is of no use here and now, because it has
    /// expired, or comes from another server or policy, is not offered, see
    /// ``HandshakeReport/withheldSession``; the handshake is a full one then, and also when the server
    /// refuses.
    public var session: [UInt8]?
    /// The ticket that belongs to ``session``; by itself it resumes nothing, and is an error (seed
    /// `ticket`).
    public var ticket: [UInt8]?
    /// The key that sessions are sealed with; nil is a random one of this process.
    public var sessionKey: SessionKey?
    /// Fingerprints of the server's certificate, of which one has to match; nil for none (seed
    /// `serverCertificateFingerprints`).
    ///
    /// A match stands for the chain and the name, so a certificate that signs itself is as good as any;
    /// its dates are still checked. An empty list is refused, as nothing could match it. For public keys,
    /// and pins beside verification, see ``TrustPolicy/pins``.
    public var serverCertificateFingerprints: [CertificateFingerprint]?
    /// Bits of the smallest finite field for key exchange; 1,024 by default (seed `minDHSize`).
    ///
    /// The system's security level has a floor of its own, and the higher of both counts: 2,048 bits at
    /// level 2, the usual one.
    public var minDHSize = 1024
    /// Groups for key exchange, separated by colons, or `auto` (seed `ecdhCurve`).
    public var ecdhCurve: String?
    /// Signature algorithms, most preferred first; nil is OpenSSL's choice (seed
    /// `signatureAlgorithms`).
    public var signatureAlgorithms: [String]?
    /// Cipher suites by IANA or OpenSSL name, most preferred first; nil is OpenSSL's choice (seed
    /// `cipherAlgorithms`).
    public var cipherAlgorithms: [String]?

    /// Whom to trust; the system's store and the servername by default.
    public var trust = TrustPolicy()
    /// A key and chain read before; takes the place of `key`, `cert` and `passphrase`.
    public var identity: TLSIdentity?
    /// The oldest version accepted; TLS 1.2 by default.
    public var minimumVersion: ProtocolVersion = .tls12
    /// The newest version offered; TLS 1.3 by default.
    public var maximumVersion: ProtocolVersion = .tls13
    /// Whether a server that answers without an application protocol is refused; false by default.
    public var alpnRequired = false
    /// Whether to ask for a stapled OCSP response; false by default.
    ///
    /// Strict verification asks in any case, to refuse a certificate that demands a staple and comes
    /// without. The response is judged as ``TrustPolicy/revocation`` of ``trust`` says.
    public var requestsOCSPStaple = false
    /// Whether to ask for signed certificate timestamps in the handshake, beside those of the certificate
    /// (RFC 6962 §3.3.1); false by default.
    ///
    /// They are counted in ``HandshakeReport/certificateTimestamps``, and refuse nobody.
    public var requestsCertificateTimestamps = false
    /// What the peer may cost.
    public var limits = TLSLimits()
    /// Decides whether the server is who it should be; nil checks its name (seed
    /// `checkServerIdentity`).
    ///
    /// Asked in both versions of TLS behind the verification of the chain, which it does not replace, and
    /// before a session is offered (`isResumed`): a refused one is not offered, and the
    /// server then shows a certificate, which is asked about.
    /// It has until ``SocketLimits/handshake`` or ``SocketInit/connectionTimeout`` is over.
    public var checkServerIdentity: ServerIdentityCallback? {
        get { callbacks.checkServerIdentity?.function }
        set { callbacks.checkServerIdentity = newValue.map(TLSCallback.init) }
    }
    /// Decides whether the server's stapled OCSP response will do, which is asked for then; nil leaves it
    /// to ``trust`` (seed `ocsp`).
    public var ocsp: OCSPCallback? {
        get { callbacks.ocsp?.function }
        set { callbacks.ocsp = newValue.map(TLSCallback.init) }
    }
    /// Chooses the certificate when the server asks for one; nil shows ``identity``, or that of ``key``
    /// and ``cert``.
    public var chooseIdentity: IdentityChoiceCallback? {
        get { callbacks.chooseIdentity?.function }
        set { callbacks.chooseIdentity = newValue.map(TLSCallback.init) }
    }
    /// Whether a connection without a preshared key fails: once ``presharedKey`` has given one, by
    /// default.
    public var presharedKeyDemand = PresharedKeyDemand.onceGiven
    /// The closures, in a form that can be compared.
    var callbacks = ClientCallbacks()

    /// Makes the default dictionary.
    public init() {}

    /// The engine's policy.
    var policy: TLSPolicy {
        TLSPolicy { policy in
            policy.alpn = alpn
            policy.alpnRequired = alpnRequired
            policy.minimumVersion = minimumVersion
            policy.maximumVersion = maximumVersion
            policy.cipherAlgorithms = cipherAlgorithms
            policy.groups = TLSSocketInit.groups(ecdhCurve)
            policy.signatureAlgorithms = signatureAlgorithms
            policy.requestsOCSPStaple = requestsOCSPStaple
            policy.requestsCertificateTimestamps = requestsCertificateTimestamps
            policy.minDHSize = minDHSize
            policy.sessionIDContext = sessionIDContext
            policy.sessionTimeout = sessionTimeout
            policy.limits = limits
            policy.decisions = callbacks.decisions
            policy.presharedKeyDemand = presharedKeyDemand
        }
    }

    /// The engine's trust policy: with the fingerprints as pins.
    func judgement() throws(SocketError) -> TrustPolicy {
        guard let fingerprints = serverCertificateFingerprints else { return trust }
        guard trust.pins == nil else {
            throw SocketError(
                .invalidOption,
                detail: "serverCertificateFingerprints is set together with pins in trust"
            )
        }
        var policy = trust
        policy.pins = CertificatePins(fingerprints.map { .certificate($0) }, mode: .replace)
        return policy
    }

    /// The session to resume.
    func resumption() throws(SocketError) -> TLSSession? {
        guard let session else {
            guard ticket == nil else {
                throw SocketError(
                    .invalidOption,
                    detail: "ticket is set without session",
                    hint: "Give the session that it came with"
                )
            }
            return nil
        }
        do throws(TLSError) {
            return try TLSSession(session, ticket: ticket, key: sessionKey)
        } catch {
            throw .configuration(error)
        }
    }

    /// Reads Node's form of a list of groups.
    static func groups(_ text: String?) -> [String]? {
        guard let text, text != "auto" else { return nil }
        return text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    }

    /// The checked configuration, shared by all sockets with the same members.
    func context() throws(SocketError) -> TLSContext {
        try ClientContextCache.context(for: self)
    }

    /// Reads `key` and `cert` as an identity.
    static func identity(
        _ identity: TLSIdentity?,
        key: [UInt8]?,
        cert: [UInt8]?,
        passphrase: SecretBytes?
    ) throws(SocketError) -> TLSIdentity? {
        switch (identity, key, cert) {
        case (let identity?, nil, nil): return identity
        case (nil, nil, nil):
            guard passphrase == nil else {
                throw SocketError(.invalidOption, detail: "passphrase is set without key")
            }
            return nil
        case (nil, let key?, let cert?):
            do throws(TLSError) {
                return try TLSIdentity(certificate: cert, privateKey: key, passphrase: passphrase)
            } catch {
                throw .configuration(error)
            }
        case (.some, _, _):
            throw SocketError(.invalidOption, detail: "identity is set together with key or cert")
        case (nil, _, _):
            throw SocketError(.invalidOption, detail: "key and cert are set together or not at all")
        }
    }
}

extension TLSSocketInit: CustomStringConvertible, CustomReflectable {
    /// The names; keys, passphrases and sessions are redacted.
    public var description: String {
        let secret = key == nil && identity == nil ? "none" : "<redacted>"
        return "servername \(servername ?? "default"), alpn \(alpn), key \(secret)"
    }

    /// The names; keys, passphrases and sessions are not shown.
    public var customMirror: Mirror {
        Mirror(self, children: ["servername": servername as Any, "alpn": alpn])
    }
}

/// Configurations of clients, kept by what they are made of: making one reads keys and builds the
/// trust store, and sockets come one by one.
private enum ClientContextCache {
    private struct Key: Hashable {
        var policy: TLSPolicy
        var trust: TrustPolicy
        var identity: TLSIdentity?
        /// A digest of key, certificate and passphrase: the secrets themselves are not kept here.
        var secrets: [UInt8]
    }

    private static let contexts = ContextCache<Key>(limit: 64)

    static func context(for tls: TLSSocketInit) throws(SocketError) -> TLSContext {
        let key = Key(
            policy: tls.policy,
            trust: try tls.judgement(),
            identity: tls.identity,
            secrets: digest(tls)
        )
        return try contexts.context(for: key) { () throws(SocketError) in
            try make(tls, key.trust)
        }
    }

    private static func make(
        _ tls: TLSSocketInit,
        _ trust: TrustPolicy
    ) throws(SocketError) -> TLSContext {
        let identity = try TLSSocketInit.identity(
            tls.identity,
            key: tls.key,
            cert: tls.cert,
            passphrase: tls.passphrase
        )
        do throws(TLSError) {
            return try TLSContext(
                role: .client,
                policy: tls.policy,
                identities: identity.map { [$0] } ?? [],
                trust: trust
            )
        } catch {
            throw .configuration(error)
        }
    }

    private static func digest(_ tls: TLSSocketInit) -> [UInt8] {
        guard tls.key != nil || tls.cert != nil || tls.passphrase != nil else { return [] }
        var digests = [tls.key ?? [], tls.cert ?? []].flatMap { OpenSSLLibrary.sha256($0) }
        if let passphrase = tls.passphrase { digests += OpenSSLLibrary.sha256(passphrase) }
        return OpenSSLLibrary.sha256(digests)
    }
}
