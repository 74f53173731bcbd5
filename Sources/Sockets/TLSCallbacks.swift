// Decisions of a TLS handshake that are the application's. Each is a closure that may take its time:
// it runs as a task of its own under the handshake's one deadline, while the loop serves others, and
// is cancelled when the connection ends. What it throws refuses the peer.

/// Decides whether a server is who it should be (seed `ServerIdentityCallback`).
///
/// Called once the chain is verified, with the name the connection is for and what the server showed:
/// in DER `identity.certificate`, all of it `identity.chain`. It takes the place of the check of the
/// name; `identity.check()` is that check.
///
/// ```swift
/// $0.checkServerIdentity = { servername, identity in
///     try identity.check()
///     guard try await inventory.knows(servername, identity.certificate) else {
///         throw TLSRefusal("the inventory does not know this certificate")
///     }
/// }
/// ```
public typealias ServerIdentityCallback =
    @Sendable (
        _ servername: String, _ identity: ServerIdentity
    ) async throws -> Void

/// Decides whether a client comes in, whose certificate is trusted; what it throws keeps it out.
///
/// Until it returns, no byte of the client is read and none is sent to it. `identity.certificate` is
/// the certificate in DER.
public typealias ClientIdentityCallback =
    @Sendable (
        _ identity: ClientIdentity, _ remote: SocketAddress
    ) async throws -> Void

/// Chooses the certificate for a server that asks for one; nil shows none.
///
/// `request.welcomes(_:)` tells whether the server names an authority of an identity's chain.
public typealias IdentityChoiceCallback =
    @Sendable (
        _ request: CertificateRequest
    ) async throws -> TLSIdentity?

/// Decides whether a stapled OCSP response will do (seed `OCSPCallback`, which returns nothing and so
/// could not refuse); what it throws refuses the server.
///
/// Called with the response in DER, and with what it says once it was verified: for a certificate that
/// is good, as the trust policy refuses any other before. `staple` is nil where the policy does not
/// look at revocation: then nothing of the response is verified. It is not called for a server that
/// staples nothing, nor for a resumed session.
///
/// ```swift
/// $0.ocsp = { response, staple in
///     guard let staple, staple.thisUpdate > yesterday else { throw TLSRefusal("not fresh enough") }
/// }
/// ```
public typealias OCSPCallback =
    @Sendable (
        _ response: [UInt8], _ staple: OCSPStaple?
    ) async throws -> Void

/// Chooses who answers a client, by its ClientHello and its address.
///
/// What it throws refuses the client; a ``TLSRefusal`` names the alert, for example
/// `TLSRefusal("not a customer", alert: .unrecognizedName)`.
public typealias HostChoiceCallback =
    @Sendable (
        _ hello: ClientHello, _ remote: SocketAddress
    ) async throws -> TLSHostChoice

/// Who answers a client.
public struct TLSHostChoice: Sendable {
    enum Form: Sendable {
        case configured
        case identities([TLSIdentity])
        case tls(TLSSocketListenerInit)
    }

    let form: Form
    /// Application protocols for this client, most preferred first; nil leaves those of the choice.
    public var alpn: [String]?

    /// What is configured: the virtual host of the servername, or the listener.
    public static let configured = TLSHostChoice(form: .configured)

    /// The listener with other identities, one a type of key.
    public static func identities(_ identities: [TLSIdentity]) -> TLSHostChoice {
        TLSHostChoice(form: .identities(identities))
    }

    /// Another dictionary: every member of it holds instead of the listener's.
    ///
    /// Equal dictionaries share their configuration, which is made at the first of them. Virtual hosts
    /// and ``TLSSocketListenerInit/chooseHost`` have no meaning in it, and are refused. Its
    /// ``TLSSocketListenerInit/ocspSource`` is not asked: give
    /// ``TLSSocketListenerInit/ocspResponse``.
    public static func tls(_ tls: TLSSocketListenerInit) -> TLSHostChoice {
        TLSHostChoice(form: .tls(tls))
    }

    private init(form: Form) { self.form = form }
}

/// A closure as a member of a dictionary that can be compared: equal to its copies only.
struct TLSCallback<Function: Sendable>: Hashable, Sendable {
    private final class Box: Sendable {
        let function: Function
        init(_ function: Function) { self.function = function }
    }

    private let box: Box

    init(_ function: Function) { box = Box(function) }

    var function: Function { box.function }

    static func == (left: TLSCallback, right: TLSCallback) -> Bool { left.box === right.box }

    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(box)) }
}

/// The closures of a client's dictionary.
struct ClientCallbacks: Hashable, Sendable {
    var checkServerIdentity: TLSCallback<ServerIdentityCallback>?
    var chooseIdentity: TLSCallback<IdentityChoiceCallback>?
    var presharedKey: TLSCallback<PresharedKeyCallback>?
    var ocsp: TLSCallback<OCSPCallback>?

    /// Which decisions they make.
    var decisions: TLSDecisions {
        var decisions: TLSDecisions = []
        if checkServerIdentity != nil { decisions.insert(.serverIdentity) }
        if chooseIdentity != nil { decisions.insert(.certificateChoice) }
        if presharedKey != nil { decisions.insert(.presharedKey) }
        if ocsp != nil { decisions.insert(.ocspResponse) }
        return decisions
    }
}

/// The closures of a listener's dictionary.
struct ListenerCallbacks: Hashable, Sendable {
    var chooseHost: TLSCallback<HostChoiceCallback>?
    var admit: TLSCallback<AdmissionCallback>?
    var checkClientIdentity: TLSCallback<ClientIdentityCallback>?
    var presharedKey: TLSCallback<PresharedKeyLookupCallback>?
    // Not asked by a handshake: see `StapleKeeper`.
    var ocspSource: OCSPStapleSource?
    var ocspIssuer: Certificate?
    var ticketKeys: TicketKeySource?
    var sessionStore: ServerSessionKeeping?

    /// Which decisions they make.
    var decisions: TLSDecisions {
        var decisions: TLSDecisions = []
        if chooseHost != nil || admit != nil { decisions.insert(.clientHello) }
        if checkClientIdentity != nil { decisions.insert(.clientCertificate) }
        if sessionStore != nil { decisions.insert(.session) }
        if presharedKey != nil { decisions.insert(.presharedKey) }
        return decisions
    }
}
