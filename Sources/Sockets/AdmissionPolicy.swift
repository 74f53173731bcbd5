// Whom a listener lets in, and how much of the machine those may take who are not in yet. Every number is
// a limit of memory or time; all of them hold before any asymmetric cryptography.

/// Whom a listener lets in, and what those may cost who are not in yet.
///
/// ```swift
/// SocketListenerInit(type: .tls, local: address, identity: identity) {
///     $0.admission.connectionsPerAddress = 64
///     $0.admission.ratePerAddress = .init(perSecond: 20, burst: 60)
/// }
/// ```
///
/// Clients that are turned away show as ``ListenerEvent/refused(_:remote:)``.
public struct AdmissionPolicy: Hashable, Sendable {
    /// How often something may happen: a bucket of `burst` tokens that gets `perSecond` new ones.
    public struct Rate: Hashable, Sendable {
        /// New tokens a second, more than 0.
        public var perSecond: Double
        /// The most tokens, at least 1.
        public var burst: Int

        /// Makes a rate.
        ///
        /// - Parameters:
        ///   - perSecond: New tokens a second, more than 0.
        ///   - burst: The most tokens, at least 1.
        public init(perSecond: Double, burst: Int) {
            self.perSecond = perSecond
            self.burst = burst
        }
    }

    /// Connections at once, those in their handshake included; 100,000 by default.
    ///
    /// One more is closed at once. What `serve(maxConcurrent:)` says comes before: beyond that they wait
    /// in the kernel.
    public var connections = 100_000
    /// Connections of one address at once; nil, by default, does not count them.
    public var connectionsPerAddress: Int?
    /// New connections of one address; nil, by default, for any number.
    public var ratePerAddress: Rate?
    /// How many bits of an IPv6 address tell one client from another, 1...128; 64 by default, since whoever
    /// has one address of a network has all of it.
    public var ipv6PrefixLength = 64
    /// The addresses whose rate is remembered; 65,536 by default.
    ///
    /// Beyond it those are forgotten that came
    /// longest ago.
    public var addressesRemembered = 65_536
    /// TLS handshakes at once, of all loops; 4,096 by default.
    ///
    /// Others stand in line.
    public var handshakes = 4096
    /// TLS handshakes at once on one event loop; 1,024 by default.
    public var handshakesPerLoop = 1024
    /// Connections that were accepted and have not begun their handshake, whether they stand in line or
    /// have said nothing yet; 4,096 by default.
    ///
    /// Beyond it connections stay in the kernel.
    public var waiting = 4096
    /// How long a ClientHello stands in line, until its connection is closed; 3 s by default.
    public var queueTime: Duration = .seconds(3)
    /// What handshakes get of a loop's time while they stand in line and connections that have been there
    /// for a second or more are busy, more than 0 and at most 1; 0.05 by default.
    ///
    /// Else they get all the time that the loop has.
    public var handshakeShare = 0.05

    /// Makes the default policy.
    public init() {}

    /// Finds what has no meaning.
    func check() throws(SocketError) {
        let counts = [
            ("connections", connections), ("connectionsPerAddress", connectionsPerAddress ?? 1),
            ("ratePerAddress.burst", ratePerAddress?.burst ?? 1),
            ("addressesRemembered", addressesRemembered), ("handshakes", handshakes),
            ("handshakesPerLoop", handshakesPerLoop), ("waiting", waiting),
        ]
        if let (name, count) = counts.first(where: { $0.1 < 1 }) {
            throw SocketError(
                .invalidOption,
                detail: "admission.\(name) is \(count), not 1 or more"
            )
        }
        guard ratePerAddress.map({ $0.perSecond > 0 && $0.perSecond.isFinite }) ?? true else {
            throw SocketError(.invalidOption, detail: "admission.ratePerAddress is not above 0")
        }
        guard (1...128).contains(ipv6PrefixLength) else {
            throw SocketError(.invalidOption, detail: "admission.ipv6PrefixLength is not 1...128")
        }
        guard queueTime > .zero else {
            throw SocketError(.invalidOption, detail: "admission.queueTime is \(queueTime)")
        }
        guard handshakeShare > 0, handshakeShare <= 1 else {
            throw SocketError(.invalidOption, detail: "admission.handshakeShare is not in 0...1")
        }
    }
}

/// Decides by a ClientHello and an address whether a client may shake hands at all.
///
/// Called before any key is used, on the connection's event loop: it must not block or take long. Who
/// needs time uses ``TLSSocketListenerInit/chooseHost``, which is asked afterwards.
public typealias AdmissionCallback =
    @Sendable (_ hello: ClientHello, _ remote: SocketAddress) -> Admission

/// Whether a client may shake hands.
public struct Admission: Sendable {
    /// Nil lets it.
    let refusal: TLSRefusal?

    /// It may.
    public static let accept = Admission(refusal: nil)

    /// It may not, and is told so by an alert.
    ///
    /// - Parameters:
    ///   - reason: Why, for this side's error and events; the client does not see it.
    ///   - alert: What the client is told; access_denied, or unrecognized_name for a servername.
    /// - Returns: The refusal.
    public static func refuse(_ reason: String, alert: Alert = .accessDenied) -> Admission {
        Admission(refusal: TLSRefusal(reason, alert: alert))
    }
}
