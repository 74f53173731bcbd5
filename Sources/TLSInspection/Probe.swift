// What to inspect: everything one probe is made from, with the defaults of the tool. A probe is a
// plain value; what is wrong with it shows in the report, not as an error.

public import Sockets

/// One handshake to make and to report.
///
/// The name that is asked for and the address that is connected to are two things: ``target`` and
/// ``servername`` say whom to ask for, ``connect`` says where.
public struct Probe: Hashable, Sendable {
    /// What is sent as servername (RFC 6066 §3).
    public enum Servername: Hashable, Sendable {
        /// The target's name; nothing when the target is an IP address.
        case target
        /// This name; the certificate must be for it.
        case name(String)
        /// Nothing; the certificate must be for the target.
        case none
    }

    /// Whom to ask for, and the port.
    public var target: SocketAddress
    /// Where to connect to; nil is the target.
    public var connect: SocketAddress?
    /// What is sent as servername; the target's name by default.
    public var servername: Servername = .target
    /// Application protocols to offer, most preferred first; what browsers offer by default.
    public var alpn = ["h2", "http/1.1"]
    /// What the chain is judged against; the system's store by default.
    public var anchors: TrustPolicy.Anchors = .system
    /// The client's certificate and key, for servers that ask; none by default.
    public var identity: TLSIdentity?
    /// The versions to offer; TLS 1.2 and 1.3 by default.
    public var versions: ClosedRange<ProtocolVersion> = .tls12 ... .tls13
    /// Which addresses of a name to use; both families by default.
    public var addressFamily: SocketAddressFamily = .any
    /// The protocol to begin with, which is asked for TLS; nil, the default, is TLS at once.
    public var starttls: StartTLSProtocol?
    /// Time for name resolution, TCP and TLS together; 10 s by default.
    public var timeout: Duration = .seconds(10)

    /// Makes a probe with the defaults.
    ///
    /// - Parameter target: Whom to ask for.
    public init(_ target: SocketAddress) { self.target = target }

    /// Makes a probe, and lets a closure set the rest.
    ///
    /// - Parameters:
    ///   - target: Whom to ask for.
    ///   - configure: Sets other members.
    public init(
        _ target: SocketAddress,
        _ configure: (inout Probe) throws -> Void
    ) rethrows {
        self.target = target
        try configure(&self)
    }
}

extension Probe {
    /// The name that goes into the ClientHello; nil when none does.
    var sentServername: String? {
        switch servername {
        case .none: return nil
        case .name(let name): return name
        case .target:
            guard let name = try? ServerName(target.address), name.kind == .dns else { return nil }
            return name.text
        }
    }

    /// The name the certificate must be for; nil when the target is a path and no name is given.
    var expectedName: ServerName? {
        if case .name(let name) = servername { return try? ServerName(name) }
        return try? ServerName(target.address)
    }

    /// Describes the socket that makes the handshake.
    ///
    /// It accepts whatever is presented; the verdict is reported.
    ///
    /// - Parameter now: When the certificates must be valid.
    /// - Returns: The socket's dictionary.
    func socketInit(at now: UnixTime) -> SocketInit {
        SocketInit(type: .tls, remote: connect ?? target) { options in
            options.connectionTimeout = timeout
            options.limits.handshake = timeout
            // A name's first address must not eat the time of the others.
            options.limits.connectAttempt = isSingleAddress ? timeout : timeout / 3
            options.addressFamily = addressFamily
            options.servername = sentServername ?? ""
            options.alpn = alpn
            options.identity = identity
            options.minimumVersion = versions.lowerBound
            options.maximumVersion = versions.upperBound
            options.requestsOCSPStaple = true
            options.trust = TrustPolicy.acceptAnything(because: "inspection")
            options.trust.anchors = anchors
            options.trust.verificationTime = now
            // OpenSSL stops at the first fault: a wrong name would hide an expired certificate.
            options.trust.name = .unchecked(because: "the name is judged beside the chain")
        }
    }

    private var isSingleAddress: Bool {
        let address = (connect ?? target).address
        let name = try? ServerName(address)
        return name?.kind == .ipAddress || address.hasPrefix("unix:")
    }
}
