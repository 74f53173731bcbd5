// The dictionary that makes a listener. The seed leaves most of it open; what is not its own is named
// like the members of `SocketInit`.

/// Everything that makes a listener (seed `SocketListenerInit`).
///
/// TLS members are reached directly or as one value through ``tls``:
///
/// ```swift
/// SocketListenerInit(type: .tls, local: .init("127.0.0.1", port: 0), identity: identity) {
///     $0.alpn = ["h2", "http/1.1"]
/// }
/// ```
@dynamicMemberLookup
public struct SocketListenerInit: Sendable {
    /// What to speak; `tcp` by default (seed `type`).
    public var type: SocketType = .tcp
    /// Where to listen: an IP address, `localhost`, or a path; port 0 has the system choose (seed
    /// `local`).
    public var local: SocketAddress
    /// Closes the listener and aborts its connections when given (seed `signal`).
    public var signal: AbortSignal?

    /// Whether an accepted connection goes on after the peer has ended its side; true by default.
    public var allowHalfOpen = true
    /// Whether small writes of accepted connections leave at once; true by default.
    ///
    /// A server that answers behind a session ticket would else wait for its acknowledgement.
    public var noDelay = true
    /// Time without a byte after which an accepted connection ends; nil by default.
    public var idleTimeout: Duration?
    /// Bytes of the kernel's send buffer of accepted connections; nil leaves it to the system.
    public var sendBufferSize: Int?
    /// Bytes of the kernel's receive buffer of accepted connections; nil leaves it to the system.
    public var receiveBufferSize: Int?
    /// Hops a packet of accepted connections may take, 1...255; nil leaves it to the system.
    public var ttl: Int?
    /// Connections that may wait in the kernel to be accepted; 4,096 by default.
    public var backlog = 4096
    /// Handshakes and accepted connections that wait for a consumer, at once; 1,024 by default.
    ///
    /// Beyond it connections stay in the kernel's queue.
    public var pendingConnections = 1024
    /// Whether other processes may listen on the same address (`SO_REUSEPORT`); false by default.
    public var reusePort = false
    /// The TLS members as one value.
    ///
    /// Any of them set on a listener of another type is an error.
    public var tls = TLSSocketListenerInit()
    /// What a connection may cost.
    public var limits = SocketLimits()
    /// Who comes in, and what those may cost who are not in yet.
    public var admission = AdmissionPolicy()
    /// The event loops of accepted connections; one loop a core by default.
    public var group: EventLoopGroup = .shared
    /// Where handlers run; nil runs them on the connection's event loop.
    ///
    /// On the loop a handler costs no switch of threads, but one that computes or blocks stalls every
    /// other connection of that loop. Give an executor when handlers do.
    public var executor: (any TaskExecutor)?

    /// Makes a dictionary with the defaults.
    ///
    /// - Parameters:
    ///   - type: What to speak.
    ///   - local: Where to listen.
    ///   - identity: For TLS: who the listener is.
    public init(type: SocketType = .tcp, local: SocketAddress, identity: TLSIdentity? = nil) {
        self.type = type
        self.local = local
        tls.identity = identity
    }

    /// Makes a dictionary, and lets a closure set the rest.
    ///
    /// - Parameters:
    ///   - type: What to speak.
    ///   - local: Where to listen.
    ///   - identity: For TLS: who the listener is.
    ///   - configure: Sets other members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        type: SocketType = .tcp,
        local: SocketAddress,
        identity: TLSIdentity? = nil,
        _ configure: (inout SocketListenerInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(type: type, local: local, identity: identity)
        try configure(&self)
    }

    /// Makes a dictionary from an address as text, as the seed's examples do.
    ///
    /// - Parameters:
    ///   - type: What to speak.
    ///   - local: The address to listen on.
    ///   - port: The port; 0 has the system choose.
    ///   - identity: For TLS: who the listener is.
    public init(
        type: SocketType = .tcp,
        local: String,
        port: UInt16,
        identity: TLSIdentity? = nil
    ) {
        self.init(type: type, local: SocketAddress(local, port: port), identity: identity)
    }

    /// Reaches a TLS member directly (seed `SocketListenerInit includes TLSSocketListenerInit`).
    public subscript<Value>(
        dynamicMember member: WritableKeyPath<TLSSocketListenerInit, Value>
    ) -> Value {
        get { tls[keyPath: member] }
        set { tls[keyPath: member] = newValue }
    }
}

/// The TLS members of a listener (seed `TLSSocketListenerInit`, which it leaves open).
public struct TLSSocketListenerInit: Hashable, Sendable {
    /// Who the listener is; takes the place of `key`, `cert` and `passphrase`.
    public var identity: TLSIdentity?
    /// The private key in PEM or DER.
    public var key: [UInt8]?
    /// The certificate chain in PEM, leaf first, or one certificate in DER.
    public var cert: [UInt8]?
    /// Opens an encrypted key.
    public var passphrase: SecretBytes?
    /// Application protocols, most preferred first; a client without one of them is refused (RFC
    /// 7301 §3.2), a client that offers none is let in.
    public var alpn: [String] = []
    /// Whether a client that offers no application protocol is refused; false by default.
    public var alpnRequired = false
    /// Groups for key exchange, separated by colons, or `auto`.
    public var ecdhCurve: String?
    /// Signature algorithms, most preferred first; nil is OpenSSL's choice.
    public var signatureAlgorithms: [String]?
    /// Cipher suites by IANA or OpenSSL name, most preferred first; nil is OpenSSL's choice.
    public var cipherAlgorithms: [String]?
    /// Whether clients are asked for a certificate; `.none` by default.
    public var clientAuthentication: ClientAuthentication = .none
    /// Which client certificates to trust; the system's store by default.
    public var trust = TrustPolicy()
    /// The oldest version accepted; TLS 1.2 by default.
    public var minimumVersion: ProtocolVersion = .tls12
    /// The newest version accepted; TLS 1.3 by default.
    public var maximumVersion: ProtocolVersion = .tls13
    /// Session tickets sent after a full handshake, 0...16; one by default.
    public var ticketCount = 1
    /// A name for the listener: its sessions are resumed only under the same one, the same
    /// `clientAuthentication` and, where clients show certificates, the same trust.
    public var sessionIDContext = ""
    /// How long sessions may be resumed, 1 s to 7 days; two hours by default.
    ///
    /// Where clients show certificates it counts from the handshake in which they did.
    public var sessionTimeout: Duration?
    /// Bits of the smallest finite field for key exchange; 1,024 by default.
    ///
    /// The system's security level has a floor of its own, and the higher of both counts.
    public var minDHSize = 1024
    /// What a peer may cost.
    public var limits = TLSLimits()
    /// Files that hold identity, authorities and staple, and are read again when they change; take the
    /// place of ``identity``, ``key``, ``cert`` and ``ocspResponse``.
    public var files: TLSFiles?
    /// Further identities, one a type of key: the client's abilities choose.
    public var identities: [TLSIdentity] = []
    /// Virtual hosts, who answer clients that ask for their names.
    public var hosts: [TLSVirtualHost] = []
    /// What becomes of clients that name no host, or one that is not here; of no meaning without
    /// ``hosts``.
    public var hostFallback = TLSHosts.Fallback.unlessLaxer
    /// Chooses who answers a client, by its ClientHello; nil leaves it to ``hosts``.
    public var chooseHost: HostChoiceCallback? {
        get { callbacks.chooseHost?.function }
        set { callbacks.chooseHost = newValue.map(TLSCallback.init) }
    }
    /// Decides by a ClientHello whether a client may shake hands at all; nil lets it.
    ///
    /// Asked before ``chooseHost``, and before any key is used.
    public var admit: AdmissionCallback? {
        get { callbacks.admit?.function }
        set { callbacks.admit = newValue.map(TLSCallback.init) }
    }
    /// Decides whether a client comes in whose certificate is trusted, also when it resumes a session;
    /// nil lets it in.
    ///
    /// Needs ``clientAuthentication``. A client that shows no certificate is not asked about:
    /// `.require` keeps it out.
    public var checkClientIdentity: ClientIdentityCallback? {
        get { callbacks.checkClientIdentity?.function }
        set { callbacks.checkClientIdentity = newValue.map(TLSCallback.init) }
    }
    /// What clients of TLS 1.2 are told to choose their preshared key by, up to 256 bytes; nil tells
    /// nothing.
    public var presharedKeyHint: String?
    /// An OCSP response in DER to staple from the start, about one of the identities, for as long as it
    /// is in date; nil by default.
    public var ocspResponse: [UInt8]?
    /// Where further responses come from; nil by default.
    ///
    /// Virtual hosts that differ in their identities only share it.
    public var ocspSource: OCSPStapleSource? {
        get { callbacks.ocspSource }
        set { callbacks.ocspSource = newValue }
    }
    /// Who issued the identities' certificates, by whom responses are verified before they are
    /// stapled; nil looks in the identity's chain, and verifies no signature where it is not.
    public var ocspIssuer: Certificate? {
        get { callbacks.ocspIssuer }
        set { callbacks.ocspIssuer = newValue }
    }
    /// Where the keys of session tickets come from, so that several processes resume each other's
    /// sessions; nil for keys that live and die with this listener.
    ///
    /// Virtual hosts with members of their own are given the same source, if they are to have its keys.
    public var ticketKeys: TicketKeySource? {
        get { callbacks.ticketKeys }
        set { callbacks.ticketKeys = newValue }
    }
    /// Where sessions are kept outside the listener, so that clients get numbers instead of tickets; nil
    /// for tickets.
    ///
    /// Virtual hosts with members of their own are given the same one, if theirs are to be kept too.
    public var sessionStore: ServerSessionKeeping? {
        get { callbacks.sessionStore }
        set { callbacks.sessionStore = newValue }
    }
    /// The closures, in a form that can be compared.
    var callbacks = ListenerCallbacks()

    /// Makes the default dictionary.
    public init() {}

    /// Checks the members.
    func context() throws(SocketError) -> TLSContext {
        try context(host: nil, hosts: try virtualHosts())
    }

    /// The configuration of the listener, or of a host of some name, whose sessions are its own.
    func context(
        host: String?,
        hosts: TLSHosts?
    ) throws(SocketError) -> TLSContext {
        guard callbacks.checkClientIdentity == nil || clientAuthentication != .none else {
            throw SocketError(
                .invalidOption,
                detail: "checkClientIdentity is set, and clients are asked for no certificate",
                hint: "Set clientAuthentication"
            )
        }
        guard files == nil else {
            throw SocketError(
                .invalidOption,
                detail: "nobody looks after the files of a host that a closure chose",
                hint: "Read them by TLSIdentity(certificateFile:privateKeyFile:)"
            )
        }
        try callbacks.sessionStore?.check()
        let identity = try TLSSocketInit.identity(
            identity,
            key: key,
            cert: cert,
            passphrase: passphrase
        )
        let policy = TLSPolicy { policy in
            policy.decisions = callbacks.decisions
            policy.presharedKeyHint = presharedKeyHint
            policy.alpn = alpn
            policy.alpnRequired = alpnRequired
            policy.minimumVersion = minimumVersion
            policy.maximumVersion = maximumVersion
            policy.cipherAlgorithms = cipherAlgorithms
            policy.groups = TLSSocketInit.groups(ecdhCurve)
            policy.signatureAlgorithms = signatureAlgorithms
            policy.clientAuthentication = clientAuthentication
            policy.ticketCount = ticketCount
            policy.minDHSize = minDHSize
            policy.sessionIDContext = host.map { sessionIDContext + "\n" + $0 } ?? sessionIDContext
            policy.sessionTimeout = sessionTimeout
            policy.limits = limits
        }
        do throws(TLSError) {
            return try TLSContext(
                role: .server,
                policy: policy,
                identities: (identity.map { [$0] } ?? []) + identities,
                trust: trust,
                hosts: hosts,
                companion: callbacks,
                staples: try stapleShelf(for: (identity.map { [$0] } ?? []) + identities),
                ticketKeys: ticketKeys?.ring
            )
        } catch {
            throw .configuration(error)
        }
    }
}

extension TLSSocketListenerInit: CustomStringConvertible, CustomReflectable {
    /// The names; keys and passphrases are redacted.
    public var description: String {
        let secret = key == nil && identity == nil ? "none" : "<redacted>"
        return "alpn \(alpn), client authentication \(clientAuthentication), key \(secret)"
    }

    /// The names; keys and passphrases are not shown.
    public var customMirror: Mirror { Mirror(self, children: ["alpn": alpn]) }
}
