// One checked configuration, shared by any number of engines on any threads: the policy, who this
// side is, and whom it trusts. Everything that can be wrong with them is found here, before the
// first connection, and everything slow (keys, trust stores) is done here once.

import COpenSSL

/// A checked TLS configuration, shared by any number of connections; immutable.
///
/// Make one per policy and keep it: making it reads keys and builds the trust store.
/// - Note: OpenSSL `SSL_CTX`.
public final class TLSContext: Sendable {
    /// Which side its engines play.
    public let role: TLSRole
    /// What it is willing to speak.
    public let policy: TLSPolicy
    /// Whom it trusts; for a server, which client certificates.
    public let trust: TrustPolicy
    /// Who this side is, one identity a key type; empty for an anonymous client.
    public let identities: [TLSIdentity]
    /// A server's virtual hosts; nil without any.
    public let hosts: TLSHosts?

    let handle: SSLContextHandle
    /// The versions left after the suites were looked at.
    let versions: ClosedRange<ProtocolVersion>
    /// Whether there is any anchor to verify a peer against.
    let hasAnchors: Bool
    /// What a client accepts as the answer to its ALPN offer.
    var applicationProtocolRule: ApplicationProtocolRule {
        ApplicationProtocolRule(offered: policy.alpn, isRequired: policy.alpnRequired)
    }
    /// Whether clients ask for a stapled response: told to, or to see whether one is missing.
    var asksForStaple: Bool {
        policy.requestsOCSPStaple || policy.decisions.contains(.ocspResponse)
            || trust.revocation.demand == .require
            || (trust.strictness == .strict && trust.revocation.demand == .ifPresent)
    }
    /// The smallest finite field for key exchange.
    let diffieHellmanFloor: DiffieHellmanFloor
    /// Something of the owner's that goes with it.
    package let companion: (any Sendable)?
    /// OpenSSL keeps an unretained pointer to it.
    private let applicationProtocols: ApplicationProtocolPreferences?
    /// What a server staples; nil for nothing.
    ///
    /// OpenSSL keeps an unretained pointer to it.
    public let staples: OCSPStapleShelf?
    /// What a server's tickets are sealed with; nil for keys that live and die with this context.
    ///
    /// OpenSSL keeps an unretained pointer to it.
    public let ticketKeys: TicketKeyRing?

    /// Whether others than the engines of this context may open its tickets, or have its sessions: other
    /// processes and contexts.
    ///
    /// OpenSSL's protection against replays of early data does not reach that far.
    public var sharesSessions: Bool {
        ticketKeys != nil || policy.decisions.contains(.session)
    }

    /// Checks a configuration.
    ///
    /// - Parameters:
    ///   - role: Which side its engines play.
    ///   - policy: What to speak.
    ///   - identities: Who this side is; a server needs at least one, and may have one for each
    ///     type of key (EC, RSA, RSA-PSS, Ed25519, Ed448); the client's abilities choose.
    ///   - trust: Whom to trust. A server uses it when it asks for client certificates.
    ///   - hosts: A server's virtual hosts, who answer instead of this context.
    ///   - staples: Where a server takes OCSP responses from to staple; nil staples none.
    ///   - ticketKeys: What a server's tickets are sealed with; nil for keys of its own.
    /// - Throws: ``TLSError`` with a code of category `.local` that names what is wrong.
    public convenience init(
        role: TLSRole,
        policy: TLSPolicy = TLSPolicy(),
        identities: [TLSIdentity] = [],
        trust: TrustPolicy = TrustPolicy(),
        hosts: TLSHosts? = nil,
        staples: OCSPStapleShelf? = nil,
        ticketKeys: TicketKeyRing? = nil
    ) throws(TLSError) {
        try self.init(
            role: role,
            policy: policy,
            identities: identities,
            trust: trust,
            hosts: hosts,
            companion: nil,
            staples: staples,
            ticketKeys: ticketKeys
        )
    }

    /// The same with something of the owner's.
    package init(
        role: TLSRole,
        policy: TLSPolicy,
        identities: [TLSIdentity],
        trust: TrustPolicy,
        hosts: TLSHosts?,
        companion: (any Sendable)?,
        staples: OCSPStapleShelf? = nil,
        ticketKeys: TicketKeyRing? = nil
    ) throws(TLSError) {
        try OpenSSLLibrary.requireSupportedVersion()
        let hasKeys = policy.decisions.contains(.presharedKey)
        guard role == .client || !identities.isEmpty || hasKeys else {
            throw TLSError(.identityMissing, hint: "Give a certificate chain and its key")
        }
        ErrorQueue.clear()
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let pointer = unsafe SSL_CTX_new(method) else {
            throw ErrorQueue.error(.internalError)
        }
        let handle = unsafe SSLContextHandle(owning: pointer)
        let builder = SSLContextBuilder(handle: handle, role: role, policy: policy)
        try builder.checkNumbers()
        builder.setFundamentals()
        versions = try builder.setSuitesAndVersions()
        try builder.setAlgorithms()
        diffieHellmanFloor = try builder.setDiffieHellmanFloor()
        try builder.setIdentities(identities)
        if role == .server { try builder.setTLSARecords(trust) }
        let judges = role == .client || policy.clientAuthentication != .none
        hasAnchors = judges ? try builder.setTrust(trust) : false
        applicationProtocols = try builder.setApplicationProtocols()
        try builder.setTimestampRequest()
        try builder.setSessions(trust: trust)
        try builder.setSessionKeeping()
        try builder.setDecisions(hosts: hosts)
        try builder.checkSuites(versions)
        if role == .server, let staples { builder.setStaples(staples) }
        self.staples = staples
        if role == .server, let ticketKeys { try builder.setTicketKeys(ticketKeys) }
        self.ticketKeys = ticketKeys
        self.handle = handle
        self.role = role
        self.policy = policy
        self.trust = trust
        self.identities = identities
        self.hosts = hosts
        self.companion = companion
    }
}
